from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error, ProgrammingError, connection

from queue_core.broker.scheduler import run_scheduler
from queue_core.ticker import tick


class Command(BaseCommand):
    help = "Run the clock: due and retrying tasks, lost workers. Any number may run, on any host."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="tick once and end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        connection.ensure_connection()  # a wrong address ends here, in one line; one that is lost later is waited for
        if once:
            tick(if_older_than=0)
            return
        run_scheduler(self.tick)

    def tick(self) -> None:
        try:
            tick()
        except ProgrammingError as exc:
            reason = str(exc).strip().splitlines()[0]
            self.stderr.write(
                f"The database does not have the tables of this version: run `manage.py migrate`. ({reason})"
            )
            connection.close()
        except Error as exc:
            self.stderr.write(f"PostgreSQL does not answer, trying again: {str(exc).strip().splitlines()[0]}")
            connection.close()
