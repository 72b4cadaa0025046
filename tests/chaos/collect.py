"""The history of a run, read from the tables and the journal when all is over."""

from typing import Any

from django.db import connection

from queue_core.models import Schedule
from tests.chaos.history import Execution, Fire, Group, History, Letter, ScheduleRow, TaskRow, WorkflowRow

_TASKS = """
SELECT id, name, queue, state, attempt, max_attempts, crashes, max_crashes, lease::text, unique_key,
       extract(epoch FROM created_at)::float8, extract(epoch FROM finished_at)::float8,
       extract(epoch FROM expires_at)::float8, lane, CASE WHEN step IS NOT NULL THEN workflow_id END
FROM tasks
"""
_TASK_FIELDS = (
    *("id", "name", "queue", "state", "attempt", "max_attempts", "crashes", "max_crashes", "lease", "unique_key"),
    *("created", "finished", "expires", "lane", "workflow"),
)
_EXECUTIONS = """
SELECT e.task_id, e.attempt, e.outcome, e.error, w.pid,
       extract(epoch FROM e.started_at)::float8, extract(epoch FROM e.finished_at)::float8
FROM task_executions e LEFT JOIN workers w ON w.id = e.worker_id
"""
_EXECUTION_FIELDS = ("task", "attempt", "outcome", "error", "pid", "started", "finished")
_FIRES = """
SELECT extract(epoch FROM fire_at)::float8, outcome, task_id FROM schedule_fires WHERE schedule_id = %s ORDER BY fire_at
"""


def _rows(sql: str, params: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def schedule_row(schedule: Schedule, first: float, step: int) -> ScheduleRow:
    """A schedule that is due each `step` seconds from `first` on; it was paused before its next time."""
    due = tuple(float(at) for at in range(int(first), int(schedule.next_fire_at.timestamp()), step))
    return ScheduleRow(schedule.name, due, tuple(Fire(*row) for row in _rows(_FIRES, [schedule.pk])))


def read_tables(history: History) -> None:
    """Fill in all that the tables hold, but for the schedules."""
    history.tasks = [TaskRow(**dict(zip(_TASK_FIELDS, row, strict=True))) for row in _rows(_TASKS)]
    history.executions = [Execution(**dict(zip(_EXECUTION_FIELDS, row, strict=True))) for row in _rows(_EXECUTIONS)]
    history.results = dict(_rows("SELECT task_id, value::text::json FROM task_results"))
    history.letters = [Letter(*row) for row in _rows("SELECT task_id, fingerprint, resolution FROM dead_letter_queue")]
    history.groups = [Group(*row) for row in _rows("SELECT fingerprint, open, total FROM dead_letter_groups")]
    history.workflows = [WorkflowRow(*row) for row in _rows("SELECT id, state, total, done FROM workflows")]
    history.edges = [(row[0], row[1]) for row in _rows("SELECT task_id, parent_id FROM task_dependencies")]
    history.online_workers = _rows("SELECT count(*) FROM workers WHERE state = 'online'")[0][0]
