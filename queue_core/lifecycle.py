"""The only writer of task states: guarded statements over many rows at once, that return what moved.

Each function is one statement, so one transaction when none is open. Times are PostgreSQL's own: hosts with skewed
clocks agree. A task is held by (worker, lease): a write for an attempt that lost its lease finds no row and changes
nothing.
"""

import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from queue_core import conf

# A NUL inside a JSON text: \u0000 behind an even number of backslashes.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class NewTask:
    """A row to insert; `delay` seconds from now unless `run_at` (ISO text or datetime) is given."""

    name: str
    queue: str
    payload: str
    priority: int
    max_attempts: int
    max_crashes: int
    run_at: Any = None
    delay: float = 0.0
    unique_key: str | None = None


@dataclass(slots=True)
class Claimed:
    """A task as its worker holds it. `payload` is the JSON text."""

    id: int
    name: str
    queue: str
    payload: str
    attempt: int
    max_attempts: int
    crashes: int
    lease: uuid.UUID


@dataclass(slots=True)
class Ended:
    """How an attempt ended. Times are seconds since the claim; `state` is succeeded, failed or queued.

    A queued one comes back after `delay` seconds; with `outcome` None it was snoozed and no attempt is used.
    """

    task: Claimed
    state: str
    outcome: str | None
    started: float
    finished: float
    delay: float = 0.0
    error: str = ""
    error_class: str = ""
    traceback: str = ""
    result: str | None = None


def _numbers(values: Iterable[Any]) -> str:
    """A PostgreSQL array literal of numbers: many times cheaper to build than adapting a list element by element."""
    return "{" + ",".join(map(str, values)) + "}"


def _rows(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


# A row whose run_at is not due yet is parked: the claim's index holds only what can be taken now.
_INSERT = """
INSERT INTO tasks (name, queue, payload, priority, max_attempts, max_crashes, unique_key, run_at, parked, state)
SELECT n.name, n.queue, n.payload::jsonb, n.priority, n.max_attempts, n.max_crashes, n.unique_key,
       n.due, n.due > clock_timestamp(), 'queued'
FROM (
    SELECT u.*, coalesce(u.run_at, now() + make_interval(secs => u.delay)) AS due
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::smallint[], %s::smallint[], %s::smallint[], %s::text[],
                %s::timestamptz[], %s::float8[])
         WITH ORDINALITY
         AS u(name, queue, payload, priority, max_attempts, max_crashes, unique_key, run_at, delay, position)
) n ORDER BY n.position
ON CONFLICT (name, unique_key) WHERE state IN ('blocked', 'queued', 'running') AND unique_key IS NOT NULL DO NOTHING
RETURNING id
"""


def insert(tasks: Sequence[NewTask]) -> list[int]:
    """Insert rows and return their ids in order; one whose unique key belongs to a live task is left out."""
    rows = _rows(
        _INSERT,
        [
            [t.name for t in tasks],
            [t.queue for t in tasks],
            [t.payload for t in tasks],
            _numbers(t.priority for t in tasks),
            _numbers(t.max_attempts for t in tasks),
            _numbers(t.max_crashes for t in tasks),
            [t.unique_key for t in tasks],
            [t.run_at for t in tasks],
            _numbers(t.delay for t in tasks),
        ],
    )
    return [row[0] for row in rows]


# MATERIALIZED is a fence: without it PostgreSQL may run the subquery again and take more than LIMIT.
# The lateral join takes queue after queue, each by priority, and stops as soon as it has enough, so no row of a later
# queue is locked in vain. A worker that is not alive gets nothing: its tasks would be rescued at once.
_CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT candidate.id
    FROM unnest(%s::text[]) AS q(name)
    CROSS JOIN LATERAL (
        SELECT t.id FROM tasks t
        WHERE t.queue = q.name AND t.state = 'queued' AND NOT t.parked
        ORDER BY t.priority DESC, t.run_at, t.id
        LIMIT %s
        FOR UPDATE SKIP LOCKED
    ) candidate
    WHERE EXISTS (SELECT 1 FROM workers w WHERE w.id = %s AND w.state = 'online' AND w.lease_until > now())
    LIMIT %s
)
UPDATE tasks t
SET state = 'running', attempt = t.attempt + 1, worker_id = %s, lease = %s, started_at = now()
FROM picked WHERE t.id = picked.id
RETURNING t.id, t.name, t.queue, t.payload::text, t.attempt, t.max_attempts, t.crashes, t.lease
"""


def claim(queues: Sequence[str], worker_id: int, limit: int) -> list[Claimed]:
    """Take up to `limit` due tasks for a worker: queued -> running. Rows another worker is taking are skipped."""
    rows = _rows(_CLAIM, [list(queues), limit, worker_id, limit, worker_id, uuid.uuid4()])
    return [Claimed(*row) for row in rows]


_RELEASE = """
UPDATE tasks SET state = 'queued', attempt = attempt - 1, lease = NULL, worker_id = NULL, started_at = NULL
WHERE id = ANY(%s::bigint[]) AND lease = %s AND state = 'running'
RETURNING id
"""


def release(ids: Sequence[int], lease: uuid.UUID) -> list[int]:
    """Give back tasks that were claimed but not started: running -> queued, no attempt used."""
    return [row[0] for row in _rows(_RELEASE, [_numbers(ids), lease])]


# The times of an attempt are the claim's own time (the database's clock) plus what the worker measured since.
_FINISH = """
WITH o AS (
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s::float8[],
                         %s::text[], %s::text[], %s::text[], %s::text[])
    AS o(id, state, outcome, started, finished, delay, error, error_class, traceback, result)
), moved AS (
    UPDATE tasks t SET
        state = o.state,
        attempt = t.attempt - (o.outcome IS NULL)::int,
        run_at = CASE WHEN o.state = 'queued' THEN now() + make_interval(secs => o.delay) ELSE t.run_at END,
        parked = o.state = 'queued' AND o.delay > 0,
        finished_at = CASE WHEN o.state = 'queued' THEN NULL ELSE now() END,
        error = CASE WHEN o.outcome IS NULL THEN t.error ELSE o.error END,
        lease = NULL
    FROM o WHERE t.id = o.id AND t.lease = %s AND t.state = 'running'
    RETURNING t.id, t.queue, t.attempt, t.worker_id, t.started_at AS claimed_at,
              o.state, o.outcome, o.started, o.finished, o.delay, o.error, o.error_class,
              o.traceback, o.result
), history AS (
    INSERT INTO task_executions
        (task_id, attempt, worker_id, outcome, error, error_class, traceback, started_at, finished_at)
    SELECT id, attempt, worker_id, outcome, error, error_class, traceback,
           claimed_at + make_interval(secs => started), claimed_at + make_interval(secs => finished)
    FROM moved WHERE outcome IS NOT NULL
), results AS (
    INSERT INTO task_results (task_id, value)
    SELECT id, result::jsonb FROM moved WHERE result IS NOT NULL
    ON CONFLICT (task_id) DO UPDATE SET value = excluded.value, created_at = now()
)
SELECT id FROM moved
"""


def finish(ended: Sequence[Ended]) -> set[int]:
    """Write how attempts of one claim ended: running -> succeeded, failed, or queued again.

    States, execution rows and results go together. Returns the ids that were still held; the others had lost their
    lease and nothing of them is written.
    """
    if not ended:
        return set()
    params = [
        _numbers(e.task.id for e in ended),
        [e.state for e in ended],
        [e.outcome for e in ended],
        _numbers(e.started for e in ended),
        _numbers(e.finished for e in ended),
        _numbers(e.delay for e in ended),
        [e.error for e in ended],
        [e.error_class for e in ended],
        [e.traceback for e in ended],
        [e.result for e in ended],
        ended[0].task.lease,
    ]
    return {row[0] for row in _rows(_FINISH, params)}


_UNPARK = """
WITH due AS (
    SELECT id FROM tasks WHERE state = 'queued' AND parked AND run_at <= now()
    ORDER BY run_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE tasks t SET parked = false FROM due WHERE t.id = due.id RETURNING t.queue
"""


def unpark(limit: int) -> list[str]:
    """Put delayed and retrying tasks whose time has come where the claim sees them. Returns a queue name per task."""
    return [row[0] for row in _rows(_UNPARK, [limit])]


_RESCUE = """
WITH lost AS (
    SELECT t.id FROM tasks t LEFT JOIN workers w ON w.id = t.worker_id
    WHERE t.state = 'running' AND (w.id IS NULL OR w.state <> 'online' OR w.lease_until < now())
    LIMIT %s FOR UPDATE OF t SKIP LOCKED
), moved AS (
    UPDATE tasks t SET
        state = CASE WHEN t.crashes + 1 >= t.max_crashes THEN 'failed' ELSE 'queued' END,
        crashes = t.crashes + 1,
        finished_at = CASE WHEN t.crashes + 1 >= t.max_crashes THEN now() END,
        parked = false,
        error = 'The worker was lost while running this task',
        lease = NULL
    FROM lost WHERE t.id = lost.id
    RETURNING t.id, t.queue, t.attempt, t.worker_id, t.started_at, t.state, t.error
), history AS (
    INSERT INTO task_executions (task_id, attempt, worker_id, outcome, error, traceback, started_at, finished_at)
    SELECT id, attempt, worker_id, 'lost', error, '', started_at, now() FROM moved
)
SELECT id, queue, state FROM moved
"""


def rescue(limit: int) -> list[tuple[int, str, str]]:
    """Take tasks from workers that stopped beating: running -> queued, or failed after `max_crashes` such losses.

    Returns (id, queue, new state). The attempt is recorded as lost; a stopped worker that
    wakes up finds its lease gone.
    """
    return [(row[0], row[1], row[2]) for row in _rows(_RESCUE, [limit])]


# Used-up attempts are raised so that the task really runs again; what it did before stays on record.
_RETRY = """
UPDATE tasks SET state = 'queued', parked = false, run_at = now(), finished_at = NULL,
    max_attempts = greatest(max_attempts, attempt - crashes + 1),
    max_crashes = greatest(max_crashes, crashes + 1)
WHERE id = ANY(%s::bigint[]) AND state IN ('failed', 'cancelled')
RETURNING id, queue
"""


def retry(ids: Sequence[int]) -> list[tuple[int, str]]:
    """failed, cancelled -> queued. Returns (id, queue) of what moved."""
    return [(row[0], row[1]) for row in _rows(_RETRY, [_numbers(ids)])]


_CANCEL = """
UPDATE tasks SET state = 'cancelled', parked = false, finished_at = now()
WHERE id = ANY(%s::bigint[]) AND state IN ('blocked', 'queued')
RETURNING id
"""


def cancel(ids: Sequence[int]) -> list[int]:
    """blocked, queued -> cancelled. Returns the ids that moved."""
    return [row[0] for row in _rows(_CANCEL, [_numbers(ids)])]


def dump_json(value: Any, *, max_bytes: int, what: str) -> str:
    """JSON text that PostgreSQL will take as jsonb, or ValueError that says why not."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as exc:
        raise ValueError(f"{what} is not JSON: {exc}") from None
    if size > max_bytes:
        raise ValueError(f"{what} has {size} bytes of JSON; the limit is {max_bytes}")
    if _ESCAPED_NUL.search(text):
        raise ValueError(f"{what} holds a NUL character, which PostgreSQL cannot store")
    return text


def payload_limit() -> int:
    return int(conf.get("PAYLOAD_MAX_BYTES"))
