from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from queue_core import services
from queue_core.management.bulk import add_query, only_one, only_with_query, work
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_json, task_id, tell


class Command(BaseCommand):
    help = f"Put failed or cancelled tasks back in line; their history stays. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=task_id, metavar="ID", help="of a task")
        add_query(parser)
        add_json(parser)

    def handle(self, *args: Any, ids: list[int], query: str | None, json: bool, **options: Any) -> None:
        only_one(ids=ids, query=query)
        if query is not None:
            return work(self, "retry", query, as_json=json, dry_run=options["dry_run"], yes=options["yes"])
        only_with_query(options, "dry_run", "yes")
        outcome = services.retry(ids, by=ACTOR)
        numbers = {"retried": outcome.changed, "skipped": outcome.skipped}
        return tell(self.stdout, outcome.sentence("Retried"), numbers, as_json=json, complete=not outcome.skipped)
