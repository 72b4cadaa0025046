"""An attempt under way: released or finished by its worker, rescued from a lost one."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from queue_core import prepared
from queue_core.errors import LONGEST_DELAY
from queue_core.lifecycle import sql
from queue_core.lifecycle.room import refund


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
    awaited: bool = False
    workflow_id: int | None = None
    # JSON text of who asked for it (origin.py); seconds since its creation, at the claim and when it was due.
    context: str | None = None
    age: float = 0.0
    due_age: float = 0.0
    lane: str = ""
    # Seconds that the claim's transaction, whose time is the task's `started_at`, had lasted when it took the task.
    waited: float = 0.0
    # When its process heard of it, by that process's monotonic clock.
    claimed_at: float = 0.0


@dataclass(slots=True)
class Failure:
    """Why an attempt failed; `reason` (states.DeathReason) counts only when it was the last one."""

    error: str
    error_class: str = ""
    traceback: str = ""
    fingerprint: str = ""
    reason: str = ""


@dataclass(slots=True)
class Ended:
    """How an attempt ended. Times are seconds since its process heard of the claim.

    `state` is succeeded, failed, cancelled or queued. A queued one comes back after `delay` seconds; with `outcome`
    None it was snoozed and no attempt is used. `result` is JSON text.
    """

    task: Claimed
    state: str
    outcome: str | None
    started: float
    finished: float
    delay: float = 0.0
    failure: Failure | None = None
    result: str | None = None


_BACK = """
SET state = CASE WHEN t.cancel_requested_at IS NULL THEN 'queued' ELSE 'cancelled' END,
    finished_at = CASE WHEN t.cancel_requested_at IS NULL THEN NULL ELSE now() END,
    attempt = t.attempt - 1, lease = NULL, worker_id = NULL, started_at = NULL
"""
# Locked by id first: a batch is in order of priority.
_RELEASE = f"""
WITH held AS MATERIALIZED (
    SELECT t.id FROM tasks t JOIN unnest(%(ids)s::bigint[], %(leases)s::uuid[]) AS h(id, lease)
        ON h.id = t.id AND h.lease = t.lease
    WHERE t.id = ANY(%(ids)s::bigint[]) ORDER BY t.id FOR UPDATE OF t
)
UPDATE tasks t {_BACK} WHERE t.id = ANY(ARRAY(SELECT id FROM held))
RETURNING t.id, t.queue, t.lane
"""


def release(tasks: Sequence[Claimed]) -> list[int]:
    """Give back tasks that were claimed but not started: running -> queued, no attempt used.

    One that somebody asked to cancel meanwhile is cancelled. What they took of rate limits is returned afterwards, when
    no task is locked: a claim locks buckets first.
    """
    params = {"ids": sql.array(task.id for task in tasks), "leases": sql.array(task.lease for task in tasks)}
    given = sql.rows(_RELEASE, params)
    if given:
        refund([(queue, lane) for _, queue, lane in given])
    return [row[0] for row in given]


_RELEASE_UNHELD = f"""
WITH unheld AS MATERIALIZED (
    SELECT id FROM tasks
    WHERE worker_id = %s AND state = 'running' AND started_at < now() - make_interval(secs => %s)
      AND NOT id = ANY(%s::bigint[])
    ORDER BY id FOR UPDATE
)
UPDATE tasks t {_BACK} WHERE t.id = ANY(ARRAY(SELECT id FROM unheld))
RETURNING t.id
"""


def release_unheld(worker_id: int, held: Sequence[int], seconds: float) -> list[int]:
    """Give back what a live worker was given but does not know of, because the answer to its claim was lost.

    `held` are the ids it does know of; only claims older than `seconds` count.
    """
    return [row[0] for row in sql.rows(_RELEASE_UNHELD, [worker_id, seconds, sql.array(held)])]


# What every attempt has comes as arrays; what few have (an error, a result) comes as JSON, so that a batch of plain
# successes costs next to nothing. The times of an attempt are the claim's own time (the database's clock) plus what
# the worker measured since. In order of id, as every verb over several tasks locks them. A task somebody asked to
# cancel does not go back in line. Only a running task has a lease (a constraint holds that); naming the state as well
# would make the planner walk everything that runs anywhere.
_FINISH = f"""
WITH failures AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
    AS f(id bigint, error text, error_class text, traceback text, fingerprint text, reason text)
), o AS MATERIALIZED (
    SELECT o.*, f.error, f.error_class, f.traceback, f.fingerprint, f.reason
    FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s::float8[])
    AS o(id, lease, state, outcome, started, finished, delay) LEFT JOIN failures f ON f.id = o.id
), held AS MATERIALIZED (
    SELECT t.id FROM tasks t WHERE t.id = ANY(ARRAY(SELECT id FROM o)) ORDER BY t.id FOR NO KEY UPDATE
), moved AS (
    UPDATE tasks t SET
        state = CASE WHEN t.cancel_requested_at IS NOT NULL AND o.state <> 'succeeded' THEN 'cancelled'
                     ELSE o.state END,
        attempt = t.attempt - (o.outcome IS NULL)::int,
        run_at = CASE WHEN o.state = 'queued' THEN now() + make_interval(secs => o.delay) ELSE t.run_at END,
        parked = o.state = 'queued' AND o.delay > 0 AND t.cancel_requested_at IS NULL,
        finished_at = CASE WHEN o.state = 'queued' AND t.cancel_requested_at IS NULL THEN NULL ELSE now() END,
        error = CASE WHEN o.outcome IS NULL THEN t.error ELSE coalesce(o.error, '') END,
        lease = NULL
    FROM o
    WHERE t.id = o.id AND t.lease = o.lease AND t.id = ANY(ARRAY(SELECT id FROM held))
    RETURNING t.id, t.name, t.queue, t.attempt, t.worker_id, t.started_at AS claimed_at, t.state,
              o.outcome, o.started, o.finished, o.error, o.error_class, o.traceback, o.fingerprint, o.reason
), history AS (
    INSERT INTO task_executions
        (task_id, attempt, worker_id, outcome, error, error_class, traceback, started_at, finished_at)
    SELECT id, attempt, worker_id, outcome, coalesce(error, ''), coalesce(error_class, ''), coalesce(traceback, ''),
           claimed_at + make_interval(secs => started), claimed_at + make_interval(secs => finished)
    FROM moved WHERE outcome IS NOT NULL
), results AS (
    INSERT INTO task_results (task_id, value, created_at)
    SELECT r.id, r.value, now()
    FROM jsonb_to_recordset(%s::jsonb) AS r(id bigint, value jsonb) JOIN moved ON moved.id = r.id
    ON CONFLICT (task_id) DO UPDATE SET value = excluded.value, created_at = now()
), dead AS (
    SELECT id, name, queue, reason, fingerprint, error FROM moved WHERE state = 'failed'
), {sql.BURY}
SELECT id FROM moved
"""


def _failure_row(ended: Ended, failure: Failure) -> dict[str, object]:
    return {
        "id": ended.task.id,
        "error": failure.error,
        "error_class": failure.error_class,
        "traceback": failure.traceback,
        "fingerprint": failure.fingerprint,
        "reason": failure.reason,
    }


def finish(ended: Sequence[Ended]) -> set[int]:
    """Write how attempts ended: running -> succeeded, failed, cancelled, or queued again.

    States, execution rows, results and dead letters go together. Returns the ids that were still held; the others
    had lost their lease and nothing of them is written.
    """
    if not ended:
        return set()
    params = [
        json.dumps([_failure_row(e, e.failure) for e in ended if e.failure]),
        sql.array(e.task.id for e in ended),
        sql.array(e.task.lease for e in ended),
        sql.array(e.state for e in ended),
        sql.array(e.outcome or "NULL" for e in ended),
        sql.array(e.task.waited + e.started for e in ended),
        sql.array(e.task.waited + e.finished for e in ended),
        sql.array(min(e.delay, LONGEST_DELAY) for e in ended),
        "[" + ",".join(f'{{"id":{e.task.id},"value":{e.result}}}' for e in ended if e.result is not None) + "]",
    ]
    return {row[0] for row in prepared.rows(_FINISH, params)}


LOST = "The worker was lost while running this task"

# Live workers as an array, not a join: a join that had to wait for a row would be judged again with half of it missing.
_RESCUE = f"""
WITH lost AS (
    SELECT t.id FROM tasks t
    WHERE t.state = 'running' AND (t.worker_id IS NULL OR NOT t.worker_id = ANY (
        ARRAY(SELECT w.id FROM workers w WHERE w.state = 'online' AND w.lease_until >= now())))
    LIMIT %s FOR UPDATE OF t SKIP LOCKED
), moved AS (
    UPDATE tasks t SET
        state = CASE WHEN t.cancel_requested_at IS NOT NULL THEN 'cancelled'
                     WHEN t.crashes + 1 >= t.max_crashes THEN 'failed' ELSE 'queued' END,
        crashes = t.crashes + 1,
        finished_at = CASE WHEN t.crashes + 1 >= t.max_crashes OR t.cancel_requested_at IS NOT NULL THEN now() END,
        parked = false,
        error = %s,
        lease = NULL
    WHERE t.id = ANY(ARRAY(SELECT id FROM lost))
    RETURNING t.id, t.name, t.queue, t.attempt, t.worker_id, t.started_at, t.state, t.error
), history AS (
    INSERT INTO task_executions (task_id, attempt, worker_id, outcome, error, traceback, started_at, finished_at)
    SELECT id, attempt, worker_id, 'lost', error, '', started_at, now() FROM moved
), dead AS (
    SELECT id, name, queue, 'crashes' AS reason, md5(name || E'\\nlost') AS fingerprint, error
    FROM moved WHERE state = 'failed'
), {sql.BURY}
SELECT id, queue, state FROM moved
"""


def rescue(limit: int) -> list[tuple[int, str, str]]:
    """Take tasks from workers that stopped beating: running -> queued, or failed after `max_crashes` such losses.

    Returns (id, queue, new state). The attempt is recorded as lost; a stopped worker that wakes up finds its lease
    gone.
    """
    return [(row[0], row[1], row[2]) for row in sql.rows(_RESCUE, [limit, LOST])]
