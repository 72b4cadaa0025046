import json
import sys
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import embedded

SOMETHING_IS_DOWN = 3


class Command(BaseCommand):
    help = "Start, stop or show the embedded PostgreSQL and Valkey. `status` exits with 3 when one of them is down."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["start", "stop", "status"])
        parser.add_argument("--json", action="store_true", help="status as JSON, for scripts")

    def handle(self, *args: Any, action: str, json: bool, **options: Any) -> None:
        try:
            {"start": self._start, "stop": self._stop, "status": self._status}[action](as_json=json)
        except embedded.EmbeddedError as error:
            raise CommandError(str(error)) from None

    def _start(self, **_: bool) -> None:
        started = embedded.start(settings.VAR_DIR)
        self.stdout.write(f"Started {' and '.join(started)}." if started else "Nothing to start.")

    def _stop(self, **_: bool) -> None:
        stopped = embedded.stop(settings.VAR_DIR)
        self.stdout.write(f"Stopped {' and '.join(stopped)}." if stopped else "Nothing was running.")

    def _status(self, *, as_json: bool) -> None:
        servers = embedded.status(settings.VAR_DIR)
        if as_json:
            self.stdout.write(json.dumps([asdict(server) for server in servers], indent=2))
        else:
            for server in servers:
                self.stdout.write(_line(server))
        if not all(server.running for server in servers):
            sys.exit(SOMETHING_IS_DOWN)


def _line(server: embedded.Status) -> str:
    state = "running" if server.running else "down"
    owner = f"pid {server.pid or '-'}, data in {server.folder}" if server.folder else "named by the environment"
    return f"{server.name:<11} {state:<8} {server.url}  ({owner})"
