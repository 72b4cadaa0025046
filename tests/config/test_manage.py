import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from django.db import OperationalError, ProgrammingError, connection

import manage

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    "arguments", [[], ["help"], ["--version"], ["migrate", "--help"], ["services", "stop"], ["up"]]
)
def test_servers_are_not_started_for_a_command_that_needs_none(arguments: list[str]) -> None:
    assert not manage.needs_servers(arguments)


@pytest.mark.parametrize("arguments", [["migrate"], ["worker", "--processes", "2"], ["shell"]])
def test_servers_are_started_for_all_others(arguments: list[str]) -> None:
    assert manage.needs_servers(arguments)


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False)


def test_an_unreachable_database_ends_in_one_line(tmp_path: Path) -> None:
    result = run(
        "migrate", DATABASE_URL="postgres://me:secret@127.0.0.1:1/db", REDIS_URL="redis://x", VAR_DIR=str(tmp_path)
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Cannot reach PostgreSQL at postgres://me@127.0.0.1:1/db. Start it, correct")
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr


def test_a_wrong_setting_ends_in_one_line(tmp_path: Path) -> None:
    result = run("check", DATABASE_URL="mysql://x/y", VAR_DIR=str(tmp_path))
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("DATABASE_URL must start with postgres://")


@pytest.mark.parametrize("module", ["gone", "config.settings.gone"])
def test_settings_that_are_not_there_end_in_one_line(module: str) -> None:
    result = run("check", DJANGO_SETTINGS_MODULE=module)
    assert result.stderr == f"DJANGO_SETTINGS_MODULE names {module!r}, but there is no such module.\n"


def test_an_unreachable_valkey_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    with redis.Redis(port=1, retry=None) as client, pytest.raises(redis.ConnectionError) as caught:
        client.ping()
    assert "`manage.py services start` starts it." in manage.unreachable(caught.value)


@pytest.mark.django_db
def test_an_error_that_a_reachable_database_reports_is_not_disguised() -> None:
    with pytest.raises(OperationalError) as caught, connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)")
    assert manage.unreachable(caught.value) is None
    assert manage.unreachable(ValueError()) is None


@pytest.mark.django_db
@pytest.mark.parametrize("sql", ["SELECT 1 FROM not_there", "SELECT not_there FROM django_migrations"])
def test_a_database_without_the_tables_is_explained(sql: str) -> None:
    with pytest.raises(ProgrammingError) as caught, connection.cursor() as cursor:
        cursor.execute(sql)
    line = manage.unmigrated(caught.value)
    assert line.startswith("The database does not have the tables of this version: run `manage.py migrate`.")
    assert "\n" not in line
    assert manage.unmigrated(ValueError()) is None
