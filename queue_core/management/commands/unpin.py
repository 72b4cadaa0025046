from typing import Any

from queue_core import services
from queue_core.management.by_ids import VerbCommand
from queue_core.management.verbs import EXIT_CODES


class Command(VerbCommand):
    help = f"Let pinned tasks be pruned again when their time has come. {EXIT_CODES}"
    verb, done = "unpin", "Unpinned"

    def act(self, ids: list[int], **params: Any) -> services.BulkOutcome:
        return services.unpin(ids, **params)
