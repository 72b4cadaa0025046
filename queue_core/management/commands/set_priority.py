from argparse import ArgumentParser
from typing import Any

from queue_core import services
from queue_core.management.by_ids import VerbCommand
from queue_core.management.verbs import EXIT_CODES
from queue_core.services.submit import PRIORITIES


class Command(VerbCommand):
    help = f"Change the priority of tasks that wait. {EXIT_CODES}"
    verb, done, param = "set_priority", "Changed", "priority"

    def add_arguments(self, parser: ArgumentParser) -> None:
        told = f"{PRIORITIES[0]} to {PRIORITIES[-1]}; a higher one is taken first"
        parser.add_argument("priority", type=int, help=told)
        super().add_arguments(parser)

    def act(self, ids: list[int], **params: Any) -> services.BulkOutcome:
        return services.edit_task(ids, **params)
