"""Tests of this project and of apps beside it: servers of their own, and empty tables.

A plugin of pytest, which pyproject.toml loads: a conftest.py would be found by the tests below its folder alone.
"""

import fcntl
import sys
from collections.abc import Iterator
from typing import TextIO

import hypothesis
import pytest
import pytest_django
from django.conf import settings
from django.db import connection

from config import embedded

_LOCK = pytest.StashKey[TextIO]()
# What migrating fills by itself, and no test changes.
_KEPT = {"django_migrations", "django_content_type", "auth_permission"}

# How long an example takes says more about what else the machine does than about the code.
hypothesis.settings.register_profile("posthaste", deadline=None)
hypothesis.settings.load_profile("posthaste")


def pytest_configure(config: pytest.Config) -> None:
    """Start servers for this run, which end with it even when it is killed; each process of `-n` has its own."""
    spreads = not hasattr(config, "workerinput") and config.getoption("numprocesses", None)
    if spreads or config.option.collectonly or config.option.help:
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
    with django_db_blocker.unblock():
        empty_tables()


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    """Tests that commit leave empty tables behind, too."""
    from django.test import TransactionTestCase  # needs the settings, which are not there when plugins are loaded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_tables())
        yield


def empty_tables() -> None:
    """Truncate the tables that hold rows; most tests touch only a few of them.

    Django's own flush truncates all tables and then makes every content type and permission anew.
    """
    tables = sorted(set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - _KEPT)
    quoted = [connection.ops.quote_name(table) for table in tables]
    filled = " UNION ALL ".join(f"SELECT %s WHERE EXISTS (SELECT FROM {name})" for name in quoted)
    with connection.cursor() as cursor:
        cursor.execute(filled, tables)
        dirty = [connection.ops.quote_name(table) for (table,) in cursor.fetchall()]
        if dirty:
            cursor.execute(f"TRUNCATE {', '.join(dirty)} CASCADE")
