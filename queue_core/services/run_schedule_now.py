from django.db import transaction

from queue_core.errors import QueueError
from queue_core.models import Schedule, ScheduleFire
from queue_core.services import audit
from queue_core.services.clock import database_time
from queue_core.services.runs import busy, run_of, write_new
from queue_core.states import FireOutcome, Overlap


class ScheduleBusy(QueueError):
    """The overlap policy does not allow another run now."""

    state = "busy"

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(
            f"Task {schedule.last_task_id} of {schedule.name} is not over, and its overlap policy is "
            f"{schedule.overlap}. Wait for that task, cancel it, or change the policy."
        )


def run_schedule_now(schedule: Schedule, *, by: audit.Actor | None = None) -> ScheduleFire:
    """Run a schedule once, beside its rhythm, also when it is paused; what is due stays due.

    Raises ScheduleBusy where the overlap policy is `skip` and the last task is not over, or `queue` and a run waits
    already; QueueError when its task cannot be submitted any more.
    """
    with transaction.atomic():
        locked = Schedule.objects.select_for_update().filter(pk=schedule.pk).first()
        if locked is None:
            raise QueueError(f"The schedule {schedule.name} was deleted meanwhile.")
        run = run_of(locked, database_time(), note="run by hand")
        if run.outcome == FireOutcome.FAILED:
            raise QueueError(run.note)
        if locked.overlap != Overlap.ALLOW and busy([locked]):
            if locked.overlap == Overlap.SKIP or locked.fires.filter(outcome=FireOutcome.WAITING).exists():
                raise ScheduleBusy(locked)
            run.outcome, run.task = FireOutcome.WAITING, None
        write_new([run])
        locked.last_fire_at = run.fire_at
        locked.save(update_fields=["last_fire_at", "last_task"])
        audit.record(Schedule, [locked.pk], "Run by hand.", by=by, name=str(locked))
        return ScheduleFire.objects.get(schedule=locked, fire_at=run.fire_at)
