from typing import Any

from queue_core import services
from queue_core.management.by_ids import VerbCommand
from queue_core.management.verbs import EXIT_CODES


class Command(VerbCommand):
    help = f"Keep tasks, in whatever state: they are neither pruned nor deleted. {EXIT_CODES}"
    verb, done = "pin", "Pinned"

    def act(self, ids: list[int], **params: Any) -> services.BulkOutcome:
        return services.pin(ids, **params)
