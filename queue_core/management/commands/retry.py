from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from queue_core import services
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_json, task_id, tell


class Command(BaseCommand):
    help = f"Put failed or cancelled tasks back in line; their history stays. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="+", type=task_id, metavar="ID", help="of a task")
        add_json(parser)

    def handle(self, *args: Any, ids: list[int], json: bool, **options: Any) -> None:
        outcome = services.retry(ids, by=ACTOR)
        numbers = {"retried": outcome.changed, "skipped": outcome.skipped}
        tell(self.stdout, outcome.sentence("Retried"), numbers, as_json=json, complete=not outcome.skipped)
