import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from config import embedded
from config.embedded import places


@pytest.fixture
def services(var: Path, settings: Settings) -> Callable[..., str]:
    """Run `manage.py services …` on a VAR_DIR of its own and return what it prints."""
    settings.VAR_DIR = var

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("services", *arguments, stdout=out)
        return out.getvalue()

    return run


def test_start_status_and_stop_say_what_they_did(services: Callable[..., str], var: Path) -> None:
    assert services("start") == "Started PostgreSQL and Valkey.\n"
    assert services("start") == "Nothing to start.\n"
    lines = services("status").splitlines()
    assert [line.split()[:2] for line in lines] == [["PostgreSQL", "running"], ["Valkey", "running"]]
    shown = json.loads(services("status", "--json"))
    assert [(server["name"], server["running"]) for server in shown] == [("PostgreSQL", True), ("Valkey", True)]
    secrets = [embedded.database_url(var), embedded.redis_url(var)]
    assert not any(url.split(":")[2].split("@")[0] in " ".join([*lines, json.dumps(shown)]) for url in secrets)
    assert services("stop") == "Stopped Valkey and PostgreSQL.\n"
    assert services("stop") == "Nothing was running.\n"


def test_status_exits_with_3_when_a_server_is_down(
    services: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        services("status")
    assert exit_.value.code == 3


def test_status_names_servers_of_the_environment_without_their_password(
    services: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("services", "status", stdout=out)
    assert "redis://127.0.0.1:1/0  (named by the environment)" in out.getvalue()
    assert "secret" not in out.getvalue()


def test_a_server_that_cannot_start_gives_a_plain_error(
    services: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "find_spec", lambda _: None)
    with pytest.raises(CommandError, match=r"pip install -r requirements/embedded.txt"):
        services("start")
