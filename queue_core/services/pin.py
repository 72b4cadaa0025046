"""pin and unpin: whether tasks are kept when their time to be forgotten comes."""

from collections.abc import Sequence

from django.db import transaction

from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome


def pin(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Keep tasks, in whatever state: prune passes them over."""
    return _set(ids, True, "Pinned", "pinned already", by)


def unpin(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Let prune forget tasks again when their time has come."""
    return _set(ids, False, "Unpinned", "not pinned", by)


def _set(ids: Sequence[int], wanted: bool, done: str, reason: str, by: audit.Actor | None) -> BulkOutcome:
    ids = checked_ids(ids)
    with transaction.atomic():
        locked = Task.objects.select_for_update().filter(pk__in=ids, pinned=not wanted).order_by("pk")
        changed = Task.objects.filter(pk__in=list(locked.values_list("pk", flat=True))).update(pinned=wanted)
        outcome = BulkOutcome(changed, len(set(ids)) - changed, reason)
        if changed:
            audit.record(Task, ids, outcome.sentence(done), by=by)
    return outcome
