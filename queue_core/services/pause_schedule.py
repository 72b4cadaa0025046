from collections.abc import Sequence

from django.db import transaction

from queue_core.models import Schedule
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome


def pause_schedule(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Let schedules rest: nothing of them is submitted until they are resumed. Their live tasks go on."""
    ids = checked_ids(ids)
    with transaction.atomic():
        changed = Schedule.objects.filter(pk__in=ids, paused=False).update(paused=True)
        outcome = BulkOutcome(changed=changed, skipped=len(set(ids)) - changed, reason="paused already")
        if changed:
            audit.record(Schedule, ids, outcome.sentence("Paused", "schedule"), by=by)
    return outcome
