from collections.abc import Sequence

from queue_core.models import Schedule
from queue_core.services.outcome import BulkOutcome


def pause_schedule(ids: Sequence[int]) -> BulkOutcome:
    """Let schedules rest: nothing of them is submitted until they are resumed. Their live tasks go on."""
    changed = Schedule.objects.filter(pk__in=ids, paused=False).update(paused=True)
    return BulkOutcome(changed=changed, skipped=len(set(ids)) - changed, reason="paused already")
