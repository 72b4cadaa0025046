"""What running tasks say about themselves, written in bulk. Moves no state."""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from queue_core.lifecycle import sql
from queue_core.texts import shorten

_NOTE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A log line; `age` is the seconds since it was logged."""

    task_id: int
    attempt: int
    lease: uuid.UUID
    age: float
    level: int
    logger: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """How far an attempt is."""

    task_id: int
    attempt: int
    lease: uuid.UUID
    done: float
    total: float | None
    note: str


class NoAmount(ValueError):
    """Of `name`, done or total; `reason` says what it must be."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.reason = name, f"must be a number from 0 up, not {shorten(repr(value), 50)}"
        super().__init__(f"progress: {name} {self.reason}")


# Notes are taken of attempts that hold their lease; another attempt tells what becomes of the task meanwhile. Their
# tasks are named by an array as well (see sql.py).
_LOG = """
INSERT INTO task_logs (task_id, attempt, at, level, logger, message)
SELECT l.task_id, l.attempt, clock_timestamp() - make_interval(secs => l.age), l.level, l.logger, l.message
FROM unnest(%s::bigint[], %s::int[], %s::uuid[], %s::float8[], %s::smallint[], %s::text[], %s::text[])
     WITH ORDINALITY AS l(task_id, attempt, lease, age, level, logger, message, position)
JOIN tasks t ON t.id = l.task_id AND t.lease = l.lease
WHERE t.id = ANY(%s::bigint[])
ORDER BY l.position RETURNING id
"""


def log(lines: Sequence[Line]) -> int:
    """Write log lines, in order; answers of how many: an attempt that lost its lease says nothing any more."""
    written = sql.rows(
        _LOG,
        [
            sql.array(line.task_id for line in lines),
            sql.array(line.attempt for line in lines),
            sql.array(line.lease for line in lines),
            sql.array(line.age for line in lines),
            sql.array(line.level for line in lines),
            [line.logger for line in lines],
            [line.message for line in lines],
            sql.array({line.task_id for line in lines}),
        ],
    )
    return len(written)


_REPORT = """
INSERT INTO task_progress AS p (task_id, attempt, done, total, note, first_done, started_at, updated_at)
SELECT r.task_id, r.attempt, r.done, r.total, r.note, r.done, now(), now()
FROM unnest(%s::bigint[], %s::int[], %s::uuid[], %s::float8[], %s::float8[], %s::text[])
     AS r(task_id, attempt, lease, done, total, note)
JOIN tasks t ON t.id = r.task_id AND t.lease = r.lease
WHERE t.id = ANY(%s::bigint[])
ORDER BY r.task_id
ON CONFLICT (task_id) DO UPDATE SET
    attempt = excluded.attempt, done = excluded.done, total = excluded.total, note = excluded.note,
    first_done = CASE WHEN p.attempt = excluded.attempt THEN p.first_done ELSE excluded.done END,
    started_at = CASE WHEN p.attempt = excluded.attempt THEN p.started_at ELSE excluded.started_at END,
    updated_at = excluded.updated_at
RETURNING p.task_id
"""


def how_far(task_id: int, attempt: int, lease: uuid.UUID, done: Any, total: Any, note: str) -> Report:
    """A report, its note cut to what is kept. Raises NoAmount."""
    known = None if total is None else _amount("total", total)
    text = shorten(note[: _NOTE_CHARS + 1], _NOTE_CHARS)
    return Report(task_id, attempt, lease, _amount("done", done), known, text)


def _amount(name: str, value: Any) -> float:
    try:
        amount = float(value)
    except (TypeError, ValueError, OverflowError):
        amount = math.nan
    if isinstance(value, str | bytes | bool) or not 0 <= amount < math.inf:
        raise NoAmount(name, value)
    return amount


def report(reports: Sequence[Report]) -> int:
    """Write how far attempts are; answers of how many: one that lost its lease says nothing any more."""
    written = sql.rows(
        _REPORT,
        [
            sql.array(one.task_id for one in reports),
            sql.array(one.attempt for one in reports),
            sql.array(one.lease for one in reports),
            sql.array(one.done for one in reports),
            [one.total for one in reports],
            [one.note for one in reports],
            sql.array(one.task_id for one in reports),
        ],
    )
    return len(written)
