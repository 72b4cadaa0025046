from collections.abc import Sequence

from django.db import transaction

from queue_core import lifecycle
from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome


def delete_tasks(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Forget tasks that are over, with their executions, results and dead letters; pinned ones too.

    Tasks that wait or run are left alone and counted as skipped: cancel them first.
    """
    ids = checked_ids(ids)
    with transaction.atomic():
        changed = lifecycle.delete(ids)
        outcome = BulkOutcome(changed, len(set(ids)) - changed, "not over")
        if changed:
            audit.record(Task, ids, outcome.sentence("Deleted"), by=by, flag=audit.DELETION)
    return outcome
