"""One machine, loopback only: what `make run` uses."""

from config import embedded
from config.settings.base import *  # noqa: F403
from config.settings.base import VAR_DIR

SECRET_KEY = embedded.secret_key(VAR_DIR)
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
WHITENOISE_USE_FINDERS = True
