import fcntl
import sys
from typing import TextIO

import pytest
import pytest_django
from django.conf import settings

from config import embedded

_LOCK = pytest.StashKey[TextIO]()


def pytest_configure(config: pytest.Config) -> None:
    """Start servers for this run, which end with it even when it is killed."""
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    lock = config.stash[_LOCK] = (settings.VAR_DIR / "pytest.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"Another pytest uses {settings.VAR_DIR}; waiting (or set another VAR_DIR).\n")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        embedded.start(settings.VAR_DIR, durable=False, tied=True)
    except embedded.EmbeddedError as error:
        pytest.exit(str(error), returncode=1)


def pytest_unconfigure(config: pytest.Config) -> None:
    lock = config.stash.get(_LOCK, None)
    if lock is not None:
        embedded.stop(settings.VAR_DIR)
        lock.close()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> None:
    """Every test begins with empty tables, also those that a migration fills."""
    from queue_core.models import Schedule

    with django_db_blocker.unblock():
        Schedule.objects.all().delete()
