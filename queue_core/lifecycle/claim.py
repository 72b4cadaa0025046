"""The claim: queued -> running, for what is due, in order."""

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from django.db import transaction

from queue_core import prepared
from queue_core.lanes import PLAIN, type_in
from queue_core.lifecycle import sql
from queue_core.lifecycle.attempts import Claimed


@dataclass(frozen=True, slots=True)
class Spot:
    """A lane of a queue, and how many of its tasks are wanted at most."""

    queue: str
    lane: str
    most: int


@dataclass(frozen=True, slots=True)
class Taker:
    """A worker that claims, by one lease; of the types in `held` it takes only from lanes with a type in their name."""

    worker_id: int
    lease: uuid.UUID
    held: Sequence[str] = ()


# MATERIALIZED is a fence: without it PostgreSQL may run the subquery again and take more than LIMIT.
# The lateral join takes spot after spot, each by priority, and stops as soon as it has enough, so no row of a later
# queue is locked in vain. A worker that is not alive gets nothing: its tasks would be rescued at once.
# The rows are named by an array as well (see sql.py); an UPDATE answers in no order, so each has its place.
_CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT candidate.id
    FROM unnest(%s::text[], %s::text[], %s::int[]) AS spot(queue, lane, most)
    CROSS JOIN LATERAL (
        SELECT t.id FROM tasks t
        WHERE t.queue = spot.queue AND t.lane = spot.lane AND t.state = 'queued' AND NOT t.parked
          AND (t.expires_at IS NULL OR t.expires_at > now()) {unless_held}
        ORDER BY t.priority DESC, t.run_at, t.id
        LIMIT spot.most
        FOR UPDATE SKIP LOCKED
    ) candidate
    WHERE EXISTS (SELECT 1 FROM workers w WHERE w.id = %s AND w.state = 'online' AND w.lease_until > now())
    LIMIT %s
)
UPDATE tasks t
SET state = 'running', attempt = t.attempt + 1, worker_id = %s, lease = %s, started_at = now()
FROM unnest(ARRAY(SELECT id FROM picked)) WITH ORDINALITY AS p(id, place)
WHERE t.id = p.id AND t.id = ANY(ARRAY(SELECT id FROM picked))
RETURNING p.place, t.id, t.name, t.queue, t.payload::text, t.attempt, t.max_attempts, t.crashes, t.lease,
          t.awaited, t.workflow_id, t.context::text, extract(epoch FROM clock_timestamp() - t.created_at)::float8,
          extract(epoch FROM t.run_at - t.created_at)::float8, t.lane,
          extract(epoch FROM clock_timestamp() - now())::float8
"""
_PLACE = itemgetter(0)
_CLAIM_ANY = _CLAIM.format(unless_held="")
# A lane with a type in its name holds nothing else; whoever asks for it knows what it may take.
_CLAIM_OTHERS = _CLAIM.format(unless_held="AND (spot.lane LIKE '_%%:%%' OR NOT t.name = ANY(%s::text[]))")


def take(spots: Sequence[Spot], limit: int, taker: Taker) -> list[Claimed]:
    """Take up to `limit` due tasks from these spots. Rows that another worker is taking are skipped."""
    others = [list(taker.held)] if taker.held else []
    places = [[s.queue for s in spots], [s.lane for s in spots], sql.array(s.most for s in spots)]
    params = [*places, *others, taker.worker_id, limit, taker.worker_id, taker.lease]
    rows = sorted(prepared.rows(_CLAIM_OTHERS if taker.held else _CLAIM_ANY, params), key=_PLACE)
    batch, heard_at = [Claimed(*row[1:]) for row in rows], time.monotonic()
    for task in batch:
        task.claimed_at = heard_at
    return batch


def claim(queues: Sequence[str], worker_id: int, limit: int, lease: uuid.UUID | None = None) -> list[Claimed]:
    """Take what is in no lane, queue after queue. Knows no pauses and limits."""
    return take([Spot(queue, PLAIN, limit) for queue in queues], limit, Taker(worker_id, lease or uuid.uuid4()))


# Three statements, each with its ids as constants: these are found by the primary key, or hashed once, whatever the
# planner believes. In one statement, a join is planned for as many rows as the last ANALYZE saw, and one that saw an
# emptied table walks the whole line for each of its tasks.
_MET = """
SELECT line.id FROM unnest(%s::text[], %s::text[]) AS spot(queue, lane)
CROSS JOIN LATERAL (
    SELECT t.id, t.name FROM tasks t
    WHERE t.queue = spot.queue AND t.lane = spot.lane AND t.state = 'queued' AND NOT t.parked
    ORDER BY t.priority DESC, t.run_at, t.id LIMIT %s
) line WHERE line.name = ANY(%s::text[])
"""
# Told plainly of the state, the planner may look each id up among all that are queued.
_LOCK = """
SELECT t.id FROM tasks t WHERE t.id = ANY(%s::bigint[]) AND t.state || '' = 'queued' FOR UPDATE SKIP LOCKED
"""
_SET_ASIDE = """
UPDATE tasks t SET lane = t.name || CASE WHEN t.lane = '' THEN ':' ELSE t.lane END
WHERE t.id = ANY(%s::bigint[]) RETURNING t.id
"""


def set_aside(spots: Sequence[Spot], held: Iterable[str], look: int) -> int:
    """Move tasks of held types that are among the first `look` of a lane into the lane of their type.

    So a million of them at the head of a line are stepped over once and not at each claim. Returns how many moved.
    """
    spots = [spot for spot in spots if not type_in(spot.lane)]
    if not spots:
        return 0
    with transaction.atomic():
        # A planner that has not heard yet of a sudden line reads the whole table for each row of it.
        sql.execute("SELECT set_config('enable_seqscan', 'off', true)", [])
        met = sql.rows(_MET, [[s.queue for s in spots], [s.lane for s in spots], look, list(held)])
        mine = sql.rows(_LOCK, [sql.array(row[0] for row in met)]) if met else []
        return len(sql.rows(_SET_ASIDE, [sql.array(row[0] for row in mine)])) if mine else 0
