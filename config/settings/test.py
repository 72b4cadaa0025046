"""Tests: servers of their own (fsync off) under var/test unless DATABASE_URL and REDIS_URL name others."""

import os
from pathlib import Path

os.environ.setdefault("VAR_DIR", str(Path(__file__).resolve().parent.parent.parent / "var" / "test"))
# Processes of tests that run beside each other (pytest -n 2) have servers of their own.
os.environ["VAR_DIR"] = str(Path(os.environ["VAR_DIR"]) / os.environ.pop("PYTEST_XDIST_WORKER", ""))

from config.settings.base import *  # noqa: F403

SECRET_KEY = "for-tests-only-and-long-enough-to-pass-the-checks-0123456789"  # noqa: S105
ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
PUBLIC_URL = "http://testserver"
ANYMAIL = {
    "WEBHOOK_SECRET": "hook:secret",
    "MAILGUN_WEBHOOK_SIGNING_KEY": "signing",
    "POSTMARK_SERVER_TOKEN": "token",
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True

# Tests that kill workers cannot wait for the leases of production.
if os.environ.get("QUICK_LEASE"):
    QUEUE_LEASE_SECONDS, QUEUE_HEARTBEAT_SECONDS, QUEUE_GRACE_SECONDS = 2.0, 0.5, 0.5
