from typing import Any

from queue_core import services
from queue_core.management.by_ids import VerbCommand
from queue_core.management.verbs import EXIT_CODES


class Command(VerbCommand):
    help = f"Stop tasks that wait, and ask running ones to end. {EXIT_CODES}"
    verb, done = "cancel", "Cancelled"

    def act(self, ids: list[int], **params: Any) -> services.BulkOutcome:
        return services.cancel(ids, **params)

    def numbers(self, outcome: services.BulkOutcome) -> dict[str, int]:
        return {**super().numbers(outcome), "asked": outcome.asked}
