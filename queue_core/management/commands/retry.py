from typing import Any

from queue_core import services
from queue_core.management.by_ids import VerbCommand
from queue_core.management.verbs import EXIT_CODES


class Command(VerbCommand):
    help = f"Put failed or cancelled tasks back in line; their history stays. {EXIT_CODES}"
    verb, done = "retry", "Retried"

    def act(self, ids: list[int], **params: Any) -> services.BulkOutcome:
        return services.retry(ids, **params)
