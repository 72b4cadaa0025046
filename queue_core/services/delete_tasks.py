from collections.abc import Sequence

from django.db import transaction

from queue_core import lifecycle
from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome
from queue_core.states import FINAL

PINNED = "pinned: unpin it first"


def delete_tasks(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Forget tasks that are over, with their executions, results and dead letters.

    Tasks that wait or run, and pinned ones, are left alone and counted as skipped: cancel, or unpin, them first.
    """
    ids = checked_ids(ids)
    with transaction.atomic():
        changed = lifecycle.delete(ids)
        skipped = len(set(ids)) - changed
        pinned = Task.objects.filter(pk__in=ids, pinned=True, state__in=FINAL).count() if skipped else 0
        outcome = BulkOutcome(changed, skipped, _why(skipped, pinned))
        if changed:
            audit.record(Task, ids, outcome.sentence("Deleted"), by=by, flag=audit.DELETION)
    return outcome


def _why(skipped: int, pinned: int) -> str:
    if not pinned:
        return "not over"
    return PINNED if pinned == skipped else f"not over, or {PINNED}"
