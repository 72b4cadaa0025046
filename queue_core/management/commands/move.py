from argparse import ArgumentParser
from typing import Any

from queue_core import services
from queue_core.management.by_ids import VerbCommand
from queue_core.management.verbs import EXIT_CODES


class Command(VerbCommand):
    help = f"Put tasks that wait into another queue. {EXIT_CODES}"
    verb, done, param = "move", "Moved", "queue"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("queue", help="one of the setting QUEUES")
        super().add_arguments(parser)

    def act(self, ids: list[int], **params: Any) -> services.BulkOutcome:
        return services.edit_task(ids, **params)
