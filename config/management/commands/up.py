import fcntl
import http.client
import os
import secrets
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.panel import Panel

from config import embedded
from config.embedded import record
from config.supervisor import Program, Supervisor

PORTS_TRIED = 50
SECONDS_FOR_WEB = 60
SECONDS_BETWEEN_LOOKS = 2
# Passed on to `worker`: the most it takes, and what it is.
WORKER_OPTIONS = {
    "processes": (256, "worker processes"),
    "threads": (256, "tasks that run at once in each of them"),
    "async": (10_000, "async def tasks that run at once in each"),
}


class Command(BaseCommand):
    help = "Run everything on this machine: servers, web, workers, scheduler, mail catcher. Ctrl-C stops it."
    # `migrate` runs the checks, once the database is there.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=_port, default=8000, help="of the web server; the next free one if taken")
        parser.add_argument("--no-example", action="store_true", help="do not create the example campaign")
        for option, (most, what) in WORKER_OPTIONS.items():
            kind = partial(_count, most=most)
            parser.add_argument(f"--{option}", type=kind, metavar="N", help=f"{what} (default: as of `worker`)")
        parser.add_argument("--isolate", action="store_true", help="each task in a child process, as of `worker`")

    def handle(self, *args: Any, port: int, no_example: bool, **options: Any) -> None:
        worker = [f"--{option}={options[option]}" for option in WORKER_OPTIONS if options[option] is not None]
        worker += ["--isolate"] if options["isolate"] else []
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGHUP, _interrupt)
        try:
            with _only_one(settings.VAR_DIR), self._servers():
                self._prepare()
                self._run(self._choose_port(port), worker, example=not no_example)
        except embedded.EmbeddedError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self._say("Stopped.")

    @contextmanager
    def _servers(self) -> Iterator[None]:
        """The embedded servers, stopped at the end if they were started here."""
        started = embedded.start(settings.VAR_DIR)
        if started:
            self._say(f"Started {' and '.join(started)}.")
        try:
            yield
        finally:
            if started:
                embedded.stop(settings.VAR_DIR)

    def _prepare(self) -> None:
        embedded.renew_smtp_port(settings.VAR_DIR)
        call_command("migrate", verbosity=0, interactive=False)
        self._say("The database is up to date.")
        self._create_admin()

    def _create_admin(self) -> None:
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        if users.filter(username="admin").exists():
            self._say("The user admin is no superuser: create one with `manage.py createsuperuser`.")
            return
        password = secrets.token_urlsafe(9)
        users.create_superuser("admin", password=password)
        self._say(f"Created the user admin with the password {password} (shown only now; change it in the admin).")

    def _choose_port(self, wanted: int) -> int:
        last = min(wanted + PORTS_TRIED, 65_535)
        port = next((port for port in range(wanted, last + 1) if record.is_free(port)), None)
        if port is None:
            raise CommandError(f"No port from {wanted} to {last} is free: name another with --port.")
        if port != wanted:
            self._say(f"Port {wanted} is taken; using {port}.")
        return port

    def _run(self, port: int, worker: list[str], *, example: bool) -> None:
        """Run all programs until an interrupt, which is raised on."""
        supervisor = Supervisor(_programs(port, worker), settings.VAR_DIR / "log", self._say)
        try:
            supervisor.start()
            self._await_web(supervisor, port)
            if example:
                self._create_example()
            self._show_addresses(port)
            while True:
                supervisor.tend_for(SECONDS_BETWEEN_LOOKS)
                self._revive_servers()
        finally:
            self._say("Stopping…")
            supervisor.stop()

    def _await_web(self, supervisor: Supervisor, port: int) -> None:
        for _ in range(SECONDS_FOR_WEB * 5):
            if _answers(port):
                return
            supervisor.tend_for(0.2)
        raise CommandError(
            f"The web server did not answer within {SECONDS_FOR_WEB} s: see {settings.VAR_DIR / 'log' / 'web.log'}."
        )

    def _create_example(self) -> None:
        try:
            call_command("example_campaign", stdout=self.stdout, stderr=self.stderr)
        except CommandError as error:
            self._say(f"No example campaign: {error}")

    def _revive_servers(self) -> None:
        try:
            started = embedded.start(settings.VAR_DIR)
        except embedded.EmbeddedError as error:
            self._say(str(error))
        else:
            if started:
                self._say(f"{' and '.join(started)} had ended: started again.")

    def _show_addresses(self, port: int) -> None:
        lines = [
            f"Admin  http://127.0.0.1:{port}/admin/",
            f"API    http://127.0.0.1:{port}/api/v1/",
            f"Logs   {settings.VAR_DIR / 'log'}",
            "Ctrl-C stops everything",
        ]
        if self.stdout.isatty():
            Console().print(Panel("\n".join(lines), title="Posthaste", expand=False, border_style="green"))
        else:
            self._say("\n".join(lines))

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _programs(port: int, worker: list[str]) -> list[Program]:
    """What makes up an installation on one machine, in the order of starting."""
    env = {"PYTHONUNBUFFERED": "1"}
    if not os.environ.get("PUBLIC_URL", "").strip():
        env["PUBLIC_URL"] = f"http://127.0.0.1:{port}"
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    gunicorn = [
        sys.executable, "-m", "gunicorn", "config.wsgi", "--chdir", str(settings.BASE_DIR),
        "--no-control-socket", "--bind", f"127.0.0.1:{port}",
        "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--graceful-timeout", "10",
    ]  # fmt: skip
    programs = [
        Program("web", gunicorn, env),
        Program("worker", [*manage, "worker", "--stop-seconds", "15", *worker], env),
        Program("scheduler", [*manage, "scheduler"], env),
    ]
    if os.environ.get("SMTP_URL", "").strip():
        return programs
    return [Program("mailcatcher", [*manage, "mailcatcher"], env), *programs]


@contextmanager
def _only_one(var: Path) -> Iterator[None]:
    """Hold the lock of a running `up`, which ends with the process however that ends."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "up.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"`up` already runs here ({var}). Stop it with Ctrl-C, or set another VAR_DIR."
            ) from None
        yield


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65_535):
        raise ArgumentTypeError("must be a number from 1 to 65535")
    return int(text)


def _count(text: str, *, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= most):
        raise ArgumentTypeError(f"must be a number from 1 to {most}")
    return int(text)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/admin/login/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
