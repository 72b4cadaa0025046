from django.db import transaction
from django.db.models import Exists, OuterRef

from queue_core.models import Schedule, ScheduleFire, Task
from queue_core.services.runs import busy, run_of, settle
from queue_core.states import FireOutcome


def release_waiting(limit: int = 100) -> int:
    """Submit runs that waited for the one before, now that it is over; answers how many. Paused schedules keep theirs.

    waiting -> submitted, or failed when the task cannot be submitted any more.
    """
    waiting = ScheduleFire.objects.filter(schedule=OuterRef("pk"), outcome=FireOutcome.WAITING)
    live = Task.objects.live().filter(pk=OuterRef("last_task_id"))
    ready = Schedule.objects.filter(Exists(waiting), ~Exists(live), paused=False).order_by("pk")
    with transaction.atomic():
        schedules = list(ready.select_for_update(skip_locked=True)[:limit])
        # Asked again behind the lock: another host may have submitted a run since.
        live_now = busy(schedules)
        free = [schedule for schedule in schedules if schedule.pk not in live_now]
        fires = ScheduleFire.objects.filter(schedule__in=free, outcome=FireOutcome.WAITING).order_by("pk")
        by_id = {schedule.pk: schedule for schedule in free}
        runs = [run_of(by_id[fire.schedule_id], fire.fire_at, note=fire.note) for fire in fires]
        settle(runs)
        Schedule.objects.bulk_update(free, ["last_task"])
    return len(runs)
