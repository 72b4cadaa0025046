"""Settings of the Django contestants of the mail benchmark, and of those that need Django for its messages only."""

import os
from urllib.parse import urlsplit

_url = urlsplit(os.environ["DATABASE_URL"])
SECRET_KEY = "for-a-benchmark-only"
INSTALLED_APPS = ["django.contrib.contenttypes", *os.environ.get("BENCH_APP", "").split()]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url.path[1:],
        "USER": _url.username,
        "PASSWORD": _url.password,
        "HOST": _url.hostname,
        "PORT": _url.port,
        "CONN_MAX_AGE": None,
    }
}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
EMAIL_HOST, EMAIL_PORT = "127.0.0.1", int(os.environ["BENCH_SMTP_PORT"])
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
# One batch for all, and as many threads as made it fastest.
POST_OFFICE = {
    "BACKENDS": {"default": EMAIL_BACKEND},
    "BATCH_SIZE": 20_000,
    "THREADS_PER_PROCESS": 5,
    "LOG_LEVEL": 1,
}
MAILER_EMAIL_BACKEND = EMAIL_BACKEND
MAILER_USE_FILE_LOCK = False
