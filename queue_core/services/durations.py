"""durations: how long the last attempts of tasks ran, without the time between their claim and their start."""

import datetime
from collections.abc import Iterable

from django.db.models import F

from queue_core.models import Execution, Task


def durations(tasks: Iterable[Task]) -> dict[int, datetime.timedelta]:
    """By id, of those that are over and were started; one query."""
    over = [task.pk for task in tasks if task.finished_at]
    if not over:
        return {}
    last = Execution.objects.filter(task__in=over, attempt=F("task__attempt"))
    return {pk: end - start for pk, start, end in last.values_list("task_id", "started_at", "finished_at")}
