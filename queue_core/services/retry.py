from collections.abc import Sequence
from functools import partial

from django.db import transaction

from queue_core import broker, lifecycle
from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.outcome import BulkOutcome


def retry(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Put failed or cancelled tasks back in line, keeping their history; their dead letters are resolved.

    failed, cancelled -> queued. Tasks in any other state are left alone and counted as skipped.
    Safe to press twice: the allowed states are in the UPDATE, not in Python.
    """
    with transaction.atomic():
        moved = lifecycle.retry(ids, by=audit.user_id(by))
        outcome = BulkOutcome(changed=len(moved), skipped=len(set(ids)) - len(moved), reason="not failed or cancelled")
        if moved:
            audit.record(Task, ids, outcome.sentence("Retried"), by=by)
        for queue in {queue for _, queue in moved}:
            transaction.on_commit(partial(broker.ring, queue))
    return outcome
