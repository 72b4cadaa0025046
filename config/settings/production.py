"""A public installation: everything that must differ from one machine is asked for by name."""

from config import env
from config.settings.base import *  # noqa: F403
from config.settings.base import VAR_DIR

SECRET_KEY = env.text("SECRET_KEY")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", [])
PUBLIC_URL = env.text("PUBLIC_URL")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [PUBLIC_URL])

_HTTPS = PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", _HTTPS)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
_YEAR = 31_536_000
SECURE_HSTS_SECONDS = env.integer("SECURE_HSTS_SECONDS", _YEAR if _HTTPS else 0, least=0, most=10 * _YEAR)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
# One-click unsubscribe must not be redirected (RFC 8058), nor health probes that speak plain HTTP inside a cluster.
SECURE_REDIRECT_EXEMPT = [r"^unsubscribe/", r"^health/"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS

STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
