from typing import Any

from queue_core import services
from queue_core.management.by_ids import VerbCommand
from queue_core.management.verbs import EXIT_CODES


class Command(VerbCommand):
    help = f"Forget tasks that are over and not pinned, with their attempts, results and dead letters. {EXIT_CODES}"
    verb, done = "delete", "Deleted"

    def act(self, ids: list[int], **params: Any) -> services.BulkOutcome:
        return services.delete_tasks(ids, **params)
