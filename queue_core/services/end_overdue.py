import datetime

from django.db.models.functions import Now

from queue_core import conf, registry
from queue_core.services.pull_finish import LeaseLost, PulledFailure, end_failed, held_elsewhere


def end_overdue(limit: int = 100) -> int:
    """End attempts that workers elsewhere hold beyond the task's timeout and a grace, as failed; answers how many."""
    ended = 0
    for name in conf.get("EXTERNAL_TASKS"):
        task_type = registry.get(name)
        allowed = datetime.timedelta(seconds=task_type.timeout + conf.get("GRACE_SECONDS"))
        late = held_elsewhere().filter(name=name, queue__in=conf.external_queues(), started_at__lt=Now() - allowed)
        error = f"TimeoutError: its worker held it for longer than its timeout of {task_type.timeout:g} s"
        for task in late.order_by("pk")[:limit]:
            try:
                end_failed(task, PulledFailure(error, "TimeoutError"))
            except LeaseLost:
                continue  # it has just ended by itself
            ended += 1
    return ended
