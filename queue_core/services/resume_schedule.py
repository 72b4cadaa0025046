from collections.abc import Sequence

from django.db import transaction

from queue_core.errors import QueueError
from queue_core.models import Schedule
from queue_core.services import audit
from queue_core.services.clock import database_time
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome


def resume_schedule(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Let paused schedules fire again, from now on: what was due during the pause was not missed, it was not wanted.

    Raises QueueError when a rhythm cannot be read any more, and then none is resumed.
    """
    ids = checked_ids(ids)
    with transaction.atomic():
        paused = list(Schedule.objects.select_for_update().filter(pk__in=ids, paused=True).order_by("pk"))
        now = database_time()
        for schedule in paused:
            schedule.paused = False
            try:
                schedule.next_fire_at = next(schedule.times_after(now))
            except ValueError as exc:
                raise QueueError(f"{schedule.name} cannot be resumed: {exc}") from None
        Schedule.objects.bulk_update(paused, ["paused", "next_fire_at"])
        outcome = BulkOutcome(changed=len(paused), skipped=len(set(ids)) - len(paused), reason="not paused")
        if paused:
            audit.record(Schedule, ids, outcome.sentence("Resumed", "schedule"), by=by)
    return outcome
