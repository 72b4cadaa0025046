"""The processes of a chaos run: the test settings, and the tasks that keep a journal."""

import os

from config.settings.test import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos"]  # noqa: F405

# The short form has quick leases (QUICK_LEASE, config/settings/test.py); this knob belongs to them.
if os.environ.get("QUICK_LEASE"):
    QUEUE_TICK_LATE_SECONDS = 3.0
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    # Tasks that fail are the purpose here.
    "loggers": {"queue_core.execution": {"level": "ERROR"}},
}
