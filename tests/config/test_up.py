import fcntl
import signal
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from config.management.commands import up


@pytest.fixture
def command() -> up.Command:
    return up.Command(stdout=StringIO())


@pytest.fixture
def _signals() -> Iterator[None]:
    """`up` takes over signals; give them back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_a_second_up_on_the_same_folder_says_so(tmp_path: Path, settings: Settings) -> None:
    settings.VAR_DIR = tmp_path
    with (tmp_path / "up.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match=r"already runs here .*Ctrl-C"):
            call_command("up")


def test_a_taken_port_gives_the_next_free_one(command: up.Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert command._choose_port(port) > port
    assert command.stdout.getvalue().startswith(f"Port {port} is taken; using ")


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "８０００"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="must be a number from 1 to 65535"):
        call_command("up", f"--port={text}")


@pytest.mark.parametrize(
    "option", ["--threads=0", "--threads=257", "--async=1e3", "--processes=", "--processes=" + "9" * 30]
)
def test_a_number_that_workers_cannot_have_is_refused(option: str) -> None:
    with pytest.raises(CommandError, match=r"must be a number from 1 to (256|10000)"):
        call_command("up", option)


@pytest.mark.usefixtures("_signals")
def test_what_is_for_the_workers_is_passed_on(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAR_DIR = tmp_path
    given: list[list[str]] = []
    monkeypatch.setattr(up.Command, "_servers", lambda self: nullcontext())
    monkeypatch.setattr(up.Command, "_prepare", lambda self: None)
    monkeypatch.setattr(up.Command, "_run", lambda self, port, worker, example: given.append(worker))
    call_command("up", "--threads=4", "--async", "50", "--isolate")
    call_command("up")
    assert given == [["--threads=4", "--async=50", "--isolate"], []]
    (worker,) = (program for program in up._programs(8123, given[0]) if program.name == "worker")
    assert worker.argv[-3:] == given[0]


@pytest.mark.django_db
def test_the_first_administrator_is_made_once_with_a_password_that_works(command: up.Command) -> None:
    command._create_admin()
    command._create_admin()
    said = command.stdout.getvalue()
    assert said.count("\n") == 1
    admin = get_user_model().objects.get(username="admin")
    assert admin.is_superuser
    assert admin.check_password(said.split()[7])


@pytest.mark.django_db
def test_a_plain_user_called_admin_is_left_alone(command: up.Command) -> None:
    get_user_model().objects.create_user("admin")
    command._create_admin()
    assert "createsuperuser" in command.stdout.getvalue()
    assert not get_user_model().objects.filter(is_superuser=True).exists()


def test_programs_are_told_their_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUBLIC_URL", raising=False)
    monkeypatch.delenv("SMTP_URL", raising=False)
    programs = up._programs(8123, [])
    assert [program.name for program in programs] == ["mailcatcher", "web", "worker", "scheduler"]
    assert all(program.env["PUBLIC_URL"] == "http://127.0.0.1:8123" for program in programs)
    monkeypatch.setenv("PUBLIC_URL", "https://mail.example.org")
    monkeypatch.setenv("SMTP_URL", "smtp://relay.example.org")
    programs = up._programs(8123, [])
    assert [program.name for program in programs] == ["web", "worker", "scheduler"]
    assert all("PUBLIC_URL" not in program.env for program in programs)
