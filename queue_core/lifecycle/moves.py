"""Moves that people and the clock make."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, connection, transaction

from queue_core.errors import Contended
from queue_core.lifecycle import sql

_TRIES = 5
_UNPARK = """
WITH due AS (
    SELECT id FROM tasks WHERE state = 'queued' AND parked AND run_at <= now()
    ORDER BY run_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE tasks t SET parked = false WHERE t.id = ANY(ARRAY(SELECT id FROM due)) RETURNING t.queue
"""


def unpark(limit: int) -> list[str]:
    """Put delayed and retrying tasks whose time has come where the claim sees them. Returns a queue name per task."""
    return [row[0] for row in sql.rows(_UNPARK, [limit])]


_EXPIRE = """
WITH late AS (
    SELECT id FROM tasks WHERE state IN ('blocked', 'queued') AND expires_at IS NOT NULL AND expires_at <= now()
    ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE tasks t SET state = 'expired', parked = false, finished_at = now()
WHERE t.id = ANY(ARRAY(SELECT id FROM late)) RETURNING t.id
"""


def expire(limit: int) -> int:
    """blocked, queued -> expired, for those whose `expires_at` has passed. Returns how many."""
    return len(sql.rows(_EXPIRE, [limit]))


# Used-up attempts are raised so that the task really runs again; what it did before stays on record.
# A unique key that is live again, or twice among these, lets one through. A step is counted again, and its workflow
# runs again, see lifecycle.settle; unless that is being cancelled.
_RETRY = f"""
WITH locked AS (
    SELECT id, name, unique_key, awaited FROM tasks t
    WHERE id = ANY(%s::bigint[]) AND state IN ('failed', 'cancelled')
      AND (t.step IS NULL OR NOT EXISTS (SELECT 1 FROM workflows w WHERE w.id = t.workflow_id AND w.state = 'running'
                                         AND w.cancel_requested_at IS NOT NULL))
    ORDER BY id FOR UPDATE
), picked AS (
    SELECT DISTINCT ON (l.name, coalesce(l.unique_key, l.id::text), l.unique_key IS NULL) l.id, l.awaited FROM locked l
    WHERE l.unique_key IS NULL OR NOT EXISTS (
        SELECT 1 FROM tasks o WHERE o.name = l.name AND o.unique_key = l.unique_key
        AND o.state IN ('blocked', 'queued', 'running'))
    ORDER BY l.name, coalesce(l.unique_key, l.id::text), l.unique_key IS NULL, l.id DESC
), moved AS (
    UPDATE tasks t SET state = CASE WHEN t.waits_for > 0 THEN 'blocked' ELSE 'queued' END, parked = false,
        run_at = now(), finished_at = NULL, cancel_requested_at = NULL, awaited = t.awaited OR t.step IS NOT NULL,
        error = CASE WHEN t.attempt > 0 THEN t.error ELSE '' END,
        expires_at = CASE WHEN t.expires_at > now() THEN t.expires_at END,
        max_attempts = greatest(t.max_attempts, t.attempt - t.crashes + 1),
        max_crashes = greatest(t.max_crashes, t.crashes + 1)
    FROM picked
    WHERE t.id = picked.id AND t.id = ANY(ARRAY(SELECT id FROM picked)) AND t.state IN ('failed', 'cancelled')
    RETURNING t.id, t.queue, CASE WHEN t.step IS NOT NULL THEN t.workflow_id END AS workflow_id, picked.awaited
), again AS (
    SELECT workflow_id, count(*) FILTER (WHERE NOT awaited) AS steps FROM moved GROUP BY workflow_id
), to_reopen AS MATERIALIZED (
    SELECT id FROM workflows WHERE id IN (SELECT workflow_id FROM again) ORDER BY id FOR UPDATE
), reopened AS (
    UPDATE workflows w SET state = 'running', finished_at = NULL,
        cancel_requested_at = CASE WHEN w.state = 'running' THEN w.cancel_requested_at END,
        done = w.done - again.steps
    FROM again JOIN to_reopen ON to_reopen.id = again.workflow_id
    WHERE w.id = again.workflow_id
), progress AS (
    DELETE FROM task_progress p USING moved WHERE p.task_id = moved.id
), resolved AS (
    UPDATE dead_letter_queue d SET resolution = 'retried', resolved_at = now(), resolved_by_id = %s
    FROM moved WHERE d.task_id = moved.id AND d.resolution = '' AND d.task_id = ANY(ARRAY(SELECT id FROM moved))
    RETURNING d.fingerprint
), {sql.REGROUP}
SELECT id, queue FROM moved
"""


def retry(ids: Sequence[int], *, by: int | None) -> list[tuple[int, str]]:
    """failed, cancelled -> queued, or blocked while tasks they wait for are not over; open dead letters are resolved.

    Returns (id, queue) of what moved.
    """
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                return [(row[0], row[1]) for row in sql.rows(_RETRY, [sql.array(ids), by])]
        except IntegrityError:
            # A submission with the unique key of one of them was committed meanwhile: seen from now on.
            continue
    raise Contended("Others submit with the unique keys of these tasks at this moment; try again.")


# Locked first, in order: what is being claimed or finished at this moment is judged by its state after that, which only
# the row itself tells for sure.
_CANCEL = """
WITH locked AS MATERIALIZED (
    SELECT id FROM tasks
    WHERE id = ANY(%s::bigint[]) AND state IN ('blocked', 'queued', 'running')
    ORDER BY id FOR UPDATE
), moved AS (
    UPDATE tasks t SET
        state = CASE t.state WHEN 'running' THEN t.state ELSE 'cancelled' END,
        parked = CASE t.state WHEN 'running' THEN t.parked ELSE false END,
        finished_at = CASE t.state WHEN 'running' THEN t.finished_at ELSE now() END,
        cancel_requested_at = CASE t.state WHEN 'running' THEN now() ELSE t.cancel_requested_at END
    WHERE t.id = ANY(ARRAY(SELECT id FROM locked)) AND t.state IN ('blocked', 'queued', 'running')
      AND NOT (t.state = 'running' AND t.cancel_requested_at IS NOT NULL)
    RETURNING t.state = 'running' AS runs
)
SELECT count(*) FILTER (WHERE NOT runs), count(*) FILTER (WHERE runs) FROM moved
"""


def cancel(ids: Sequence[int]) -> tuple[int, int]:
    """blocked, queued -> cancelled; running ones are asked to end. Returns (how many stopped, how many were asked)."""
    stopped, asked = sql.rows(_CANCEL, [sql.array(ids)])[0]
    return int(stopped), int(asked)


# What is not given stays as it is.
_EDIT = """
WITH locked AS (
    SELECT id FROM tasks WHERE id = ANY(%(ids)s::bigint[]) AND state IN ('blocked', 'queued') ORDER BY id FOR UPDATE
)
UPDATE tasks t SET
    priority = coalesce(%(priority)s::smallint, t.priority),
    queue = coalesce(%(queue)s, t.queue),
    lane = coalesce(%(lanes)s::jsonb ->> t.name, t.lane),
    max_attempts = coalesce(%(max_attempts)s::smallint, t.max_attempts),
    tags = coalesce(%(tags)s::text[], t.tags),
    payload = coalesce(%(payload)s::jsonb, t.payload),
    run_at = coalesce(%(run_at)s::timestamptz, t.run_at),
    parked = CASE WHEN %(run_at)s::timestamptz IS NULL THEN t.parked
                  ELSE t.state = 'queued' AND %(run_at)s::timestamptz > clock_timestamp() END
WHERE t.id = ANY(ARRAY(SELECT id FROM locked)) AND t.state IN ('blocked', 'queued')
RETURNING t.id, t.queue
"""
_EDITED = ("priority", "queue", "max_attempts", "tags", "payload", "lanes", "run_at")


def edit(ids: Sequence[int], **values: Any) -> list[tuple[int, str]]:
    """Change blocked and queued tasks, whose state stays. Returns (id, queue) of those.

    `payload` is JSON text, and `lanes` (JSON text, too) has the lane that goes with it, by the name of the task.
    """
    params = {**dict.fromkeys(_EDITED), **values, "ids": list(ids)}
    with connection.cursor() as cursor:
        cursor.execute(_EDIT, params)
        found: list[tuple[int, str]] = cursor.fetchall()
    return found


_DISCARD = f"""
WITH resolved AS (
    UPDATE dead_letter_queue SET resolution = 'discarded', resolved_at = now(), resolved_by_id = %s
    WHERE id = ANY(%s::bigint[]) AND resolution = ''
    RETURNING fingerprint
), {sql.REGROUP}
SELECT count(*) FROM resolved
"""


def discard(letter_ids: Sequence[int], *, by: int | None) -> int:
    """Resolve open dead letters; their tasks stay failed. Returns how many."""
    return int(sql.rows(_DISCARD, [by, sql.array(letter_ids)])[0][0])
