"""Runs of schedules, written together: the row of the fire first, and the task only where that row is new."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from queue_core.errors import QueueError
from queue_core.lifecycle import NewTask
from queue_core.models import Schedule, Task
from queue_core.services.submit import build, submit_many
from queue_core.states import FireOutcome

_INSERT = """
INSERT INTO schedule_fires (schedule_id, fire_at, outcome, note, created_at)
SELECT *, now() FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::text[])
ON CONFLICT DO NOTHING RETURNING schedule_id, fire_at
"""
_SETTLE = """
UPDATE schedule_fires f SET outcome = run.outcome, note = run.note, task_id = run.task_id
FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::bigint[])
     AS run(schedule_id, fire_at, outcome, note, task_id)
WHERE f.schedule_id = run.schedule_id AND f.fire_at = run.fire_at
"""
# The newest of each schedule; one that waits is kept however many have passed it.
_KEEP = 1000
_FORGET = """
DELETE FROM schedule_fires f USING unnest(%s::bigint[]) AS s(id)
CROSS JOIN LATERAL (
    SELECT fire_at FROM schedule_fires WHERE schedule_id = s.id ORDER BY fire_at DESC OFFSET %s LIMIT 1
) last
WHERE f.schedule_id = s.id AND f.fire_at <= last.fire_at AND f.outcome <> 'waiting'
"""


@dataclass(slots=True)
class Run:
    """What is to become of one fire of a schedule; `task` is the row to submit."""

    schedule: Schedule
    fire_at: datetime.datetime
    outcome: FireOutcome
    note: str = ""
    task: NewTask | None = None


def run_of(
    schedule: Schedule, fire_at: datetime.datetime, *, run_at: datetime.datetime | None = None, note: str = ""
) -> Run:
    """A run that submits its task; one that fails, with the reason, when that task cannot be submitted any more."""
    try:
        task = build(
            schedule.task,
            schedule.payload,
            queue=schedule.queue,
            priority=schedule.priority,
            max_attempts=schedule.max_attempts,
            run_at=run_at or fire_at,
        )
    except QueueError as exc:
        return Run(schedule, fire_at, FireOutcome.FAILED, str(exc))
    return Run(schedule, fire_at, FireOutcome.SUBMITTED, note, task)


def write_new(runs: Sequence[Run]) -> list[Run]:
    """Write the runs whose time is not on record yet, with their tasks, in the caller's transaction; answers those."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, _columns(runs))
        new = set(cursor.fetchall())
    written = [run for run in runs if (run.schedule.pk, run.fire_at) in new]
    settle([run for run in written if run.task])
    return written


def forget_old(schedules: Sequence[Schedule]) -> None:
    """Bound the history of schedules."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [[schedule.pk for schedule in schedules], _KEEP])


def settle(runs: Sequence[Run]) -> None:
    """Submit the tasks of runs that are on record and write what became of them."""
    ids = iter(submit_many([run.task for run in runs if run.task]))
    tasks = [next(ids) if run.task else None for run in runs]
    for run, task_id in zip(runs, tasks, strict=True):
        run.schedule.last_task_id = task_id or run.schedule.last_task_id
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [*_columns(runs), tasks])


def busy(schedules: Sequence[Schedule]) -> set[int]:
    """Ids of those schedules whose last task is not over."""
    last = {schedule.last_task_id: schedule.pk for schedule in schedules if schedule.last_task_id}
    return {last[pk] for pk in Task.objects.live().filter(pk__in=last).values_list("pk", flat=True)}


def _columns(runs: Sequence[Run]) -> list[list[object]]:
    return [
        [run.schedule.pk for run in runs],
        [run.fire_at for run in runs],
        [str(run.outcome) for run in runs],
        [run.note for run in runs],
    ]
