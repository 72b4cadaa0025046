from collections.abc import Sequence
from functools import partial

from django.db import transaction

from queue_core import broker, lifecycle
from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome
from queue_core.states import TRANSITIONS


def retry(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Put failed or cancelled tasks back in line, keeping their history; their dead letters are resolved.

    failed, cancelled -> queued; blocked, while tasks it depends on are not over. Tasks in any other state are left
    alone and counted as skipped, and those whose unique key belongs to another live task by now.
    An `expires_at` that has passed is dropped: somebody wants the task to run.
    A step by itself comes back alone, and its workflow runs again; see `retry_workflow` for all that did not succeed.
    Steps of a workflow that is being cancelled stay as they are.
    Safe to press twice: the allowed states are in the UPDATE, not in Python.
    """
    ids = checked_ids(ids)
    with transaction.atomic():
        moved = lifecycle.retry(ids, by=audit.user_id(by))
        skipped = len(set(ids)) - len(moved)
        outcome = BulkOutcome(len(moved), skipped, _reason(ids) if skipped else "")
        if moved:
            audit.record(Task, ids, outcome.sentence("Retried"), by=by)
        for queue in {queue for _, queue in moved}:
            transaction.on_commit(partial(broker.ring, queue))
    return outcome


def _reason(ids: Sequence[int]) -> str:
    """Why some did not move: what is still failed or cancelled after the statement has lost its key, or is a step."""
    left = Task.objects.filter(pk__in=ids, state__in=TRANSITIONS["retry"])
    reasons = ["not failed or cancelled"]
    if left.filter(unique_key__isnull=False).exists():
        reasons.append("another live task has the unique key")
    if left.filter(step__isnull=False).exists():
        reasons.append("the workflow is being cancelled")
    return ", or ".join(reasons)
