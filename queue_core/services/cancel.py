from collections.abc import Sequence

from django.db import transaction

from queue_core import lifecycle
from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome
from queue_core.services.settle import settle_on_commit


def cancel(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Stop tasks.

    blocked, queued -> cancelled. A running task is asked to end: it sees `context.cancelled`, is interrupted after
    QUEUE_GRACE_SECONDS, and its process is killed after as long again; then it is cancelled. One that succeeds
    meanwhile has succeeded. Tasks that are over are left alone and counted as skipped.
    """
    ids = checked_ids(ids)
    with transaction.atomic():
        stopped, asked = lifecycle.cancel(ids)
        outcome = BulkOutcome(
            changed=stopped,
            skipped=len(set(ids)) - stopped - asked,
            reason="over already, or asked before",
            asked=asked,
        )
        if stopped or asked:
            audit.record(Task, ids, outcome.sentence("Cancelled"), by=by)
        if stopped:
            settle_on_commit()
    return outcome
