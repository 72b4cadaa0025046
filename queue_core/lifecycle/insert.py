"""New rows: submitted tasks, and replays of old ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from queue_core import prepared, registry
from queue_core.lifecycle import sql


@dataclass(frozen=True, slots=True)
class NewTask:
    """A row to insert, due at `run_at` (aware datetime), or else `delay` seconds from now. `payload` is JSON text.

    One with `waits_for` is blocked; whoever inserts it adds its edges in the same transaction (`depend`).
    """

    name: str
    queue: str
    payload: str
    priority: int
    max_attempts: int
    max_crashes: int
    run_at: Any = None
    delay: float = 0.0
    unique_key: str | None = None
    expires_at: Any = None
    tags: tuple[str, ...] = ()
    waits_for: int = 0
    workflow_id: int | None = None
    step: str | None = None
    # JSON text of who asks for it (origin.py).
    context: str | None = None
    lane: str = ""


_UNLESS_LIVE = """
ON CONFLICT (name, unique_key) WHERE state IN ('blocked', 'queued', 'running') AND unique_key IS NOT NULL DO NOTHING
"""

# Times are written as now(), also where the column has that default: the test kit can stop the one, not the other.
# A row whose run_at is not due yet is parked: the claim's index holds only what can be taken now.
# Tags travel as JSON because PostgreSQL's arrays of arrays must all have one length.
_INSERT = f"""
INSERT INTO tasks (name, queue, payload, priority, max_attempts, max_crashes, unique_key, run_at, parked, state,
                   expires_at, lane, tags, waits_for, awaited, workflow_id, step, context, created_at)
SELECT n.name, n.queue, n.payload::jsonb, n.priority, n.max_attempts, n.max_crashes, n.unique_key,
       n.due, n.waits_for = 0 AND n.due > clock_timestamp(), CASE WHEN n.waits_for > 0 THEN 'blocked' ELSE 'queued' END,
       n.expires_at, n.lane,
       CASE WHEN n.tags IS NULL THEN '{{}}' ELSE ARRAY(SELECT jsonb_array_elements_text(n.tags::jsonb)) END,
       n.waits_for, n.step IS NOT NULL, n.workflow_id, n.step, n.context::jsonb, now()
FROM (
    SELECT u.*, coalesce(u.run_at, now() + make_interval(secs => u.delay)) AS due
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::smallint[], %s::smallint[], %s::smallint[], %s::text[],
                %s::timestamptz[], %s::float8[], %s::timestamptz[], %s::text[], %s::text[], %s::int[], %s::bigint[],
                %s::text[], %s::text[])
         WITH ORDINALITY
         AS u(name, queue, payload, priority, max_attempts, max_crashes, unique_key, run_at, delay, expires_at, lane,
              tags, waits_for, workflow_id, step, context, position)
) n ORDER BY n.position
{_UNLESS_LIVE}
RETURNING id
"""


# The same for a single row, which is most of them: planned and run in half the time.
_INSERT_ONE = """
INSERT INTO tasks (name, queue, payload, priority, max_attempts, max_crashes, unique_key, run_at, parked, state,
                   expires_at, lane, tags, waits_for, awaited, workflow_id, step, context, created_at)
VALUES (%s, %s, %s::jsonb, %s, %s, %s, %s, coalesce(%s::timestamptz, now() + make_interval(secs => %s)),
        %s = 0 AND coalesce(%s::timestamptz, now() + make_interval(secs => %s)) > clock_timestamp(), %s, %s,
        %s, %s::text[], %s, %s, %s, %s, %s::jsonb, now())
"""


def _insert_one(t: NewTask) -> list[int]:
    conflict = "" if t.unique_key is None else _UNLESS_LIVE
    due = [t.run_at, t.delay, t.waits_for, t.run_at, t.delay]
    values: list[Any] = [t.name, t.queue, t.payload, t.priority, t.max_attempts, t.max_crashes, t.unique_key, *due]
    values += ["blocked" if t.waits_for else "queued", t.expires_at, t.lane, list(t.tags)]
    values += [t.waits_for, t.step is not None, t.workflow_id, t.step, t.context]
    return [row[0] for row in prepared.rows(f"{_INSERT_ONE}{conflict} RETURNING id", values)]


def insert(tasks: Sequence[NewTask]) -> list[int]:
    """Insert rows and return their ids in order; one whose unique key belongs to a live task is left out."""
    if len(tasks) == 1:
        return _insert_one(tasks[0])
    rows = prepared.rows(
        _INSERT,
        [
            [t.name for t in tasks],
            [t.queue for t in tasks],
            [t.payload for t in tasks],
            sql.array(t.priority for t in tasks),
            sql.array(t.max_attempts for t in tasks),
            sql.array(t.max_crashes for t in tasks),
            [t.unique_key for t in tasks],
            [t.run_at for t in tasks],
            sql.array(t.delay for t in tasks),
            [t.expires_at for t in tasks],
            [t.lane for t in tasks],
            [sql.dump_json(t.tags, max_bytes=65_536, what="tags") if t.tags else None for t in tasks],
            sql.array(t.waits_for for t in tasks),
            sql.array("NULL" if t.workflow_id is None else t.workflow_id for t in tasks),
            [t.step for t in tasks],
            [t.context for t in tasks],
        ],
    )
    return [row[0] for row in rows]


# Of several with the same unique key the latest is replayed. Keyed ones go first and in one order everywhere (see
# submit_batch): those who insert the same keys at the same moment wait for each other, but never both ways round.
_REPLAY = f"""
WITH old AS (
    SELECT * FROM tasks
    WHERE id = ANY(%s::bigint[]) AND name <> ALL(%s) AND state IN ('succeeded', 'failed', 'cancelled', 'expired')
    ORDER BY id FOR UPDATE
), picked AS (
    SELECT DISTINCT ON (o.name, coalesce(o.unique_key, o.id::text), o.unique_key IS NULL) o.* FROM old o
    ORDER BY o.name, coalesce(o.unique_key, o.id::text), o.unique_key IS NULL, o.id DESC
), made AS (
    INSERT INTO tasks (name, queue, payload, priority, max_attempts, max_crashes, unique_key, lane, tags, replay_of,
                       run_at, state, workflow_id, context, created_at)
    SELECT t.name, t.queue, coalesce(%s::jsonb, t.payload), t.priority, t.max_attempts, t.max_crashes, t.unique_key,
           coalesce(%s::jsonb ->> t.name, t.lane), t.tags, t.id, now(), 'queued', t.workflow_id, %s::jsonb, now()
    FROM picked t
    ORDER BY CASE WHEN t.unique_key IS NOT NULL THEN t.name END COLLATE "C", t.unique_key COLLATE "C", t.id
    {_UNLESS_LIVE}
    RETURNING id, replay_of, queue
), resolved AS (
    UPDATE dead_letter_queue d
    SET resolution = 'replayed', resolved_at = now(), resolved_by_id = %s, replay_id = made.id
    FROM made WHERE d.task_id = made.replay_of AND d.resolution = ''
    RETURNING d.fingerprint
), {sql.REGROUP}
SELECT id, replay_of, queue FROM made
"""


def replay(
    ids: Sequence[int], *, payload: str | None, lanes: str | None = None, by: int | None, context: str | None = None
) -> list[tuple[int, int, str]]:
    """A new row for each task in a final state, with the same payload or `payload` (JSON text) for all.

    `lanes` (JSON text, too) has the lane that goes with that payload, by the name of the task. One whose unique key
    belongs to a live task is left out, and so are internal ones: what made them knows them by their ids. Open dead
    letters of the others are resolved. Returns (new id, old id, queue).
    """
    values = [sql.array(ids), registry.internal(), payload, lanes, context, by]
    return [(row[0], row[1], row[2]) for row in sql.rows(_REPLAY, values)]
