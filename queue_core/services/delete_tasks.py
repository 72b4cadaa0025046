from collections.abc import Sequence

from django.db import transaction

from queue_core import lifecycle
from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome
from queue_core.states import FINAL

PINNED = "pinned: unpin it first"
NEEDED = "needed by a workflow or tasks that are not over"


def delete_tasks(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Forget tasks that are over, with their executions, results and dead letters.

    Tasks that wait or run, and pinned ones, are left alone and counted as skipped: cancel, or unpin, them first. So are
    those that others wait for, and the steps of a workflow that runs.
    """
    ids = checked_ids(ids)
    with transaction.atomic():
        changed = len(lifecycle.delete(ids))
        skipped = len(set(ids)) - changed
        over = Task.objects.filter(pk__in=ids, state__in=FINAL) if skipped else Task.objects.none()
        outcome = BulkOutcome(changed, skipped, _why(skipped, list(over.values_list("pinned", flat=True))))
        if changed:
            audit.record(Task, ids, outcome.sentence("Deleted"), by=by, flag=audit.DELETION)
    return outcome


def _why(skipped: int, over: Sequence[bool]) -> str:
    """`over`: of each that is over and was left, whether it is pinned."""
    reasons = {"not over": skipped > len(over), NEEDED: not all(over), PINNED: any(over)}
    return ", or ".join(reason for reason, holds in reasons.items() if holds)
