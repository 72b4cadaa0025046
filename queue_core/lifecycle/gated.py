"""Queues and task types that are held back: paused, or limited in what may run or start. Exact over all workers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import transaction

from queue_core import registry
from queue_core.lifecycle import sql
from queue_core.lifecycle.attempts import Claimed
from queue_core.lifecycle.claim import Spot, Taker, take
from queue_core.lifecycle.room import Room, charge, fill, rooms, scopes_of
from queue_core.policies import Limit


@dataclass(frozen=True, slots=True)
class QueueGate:
    """`laned`: something waits that is not in the plain lane."""

    paused: bool
    limited: bool
    laned: bool


@dataclass(frozen=True, slots=True)
class TypeGate:
    paused: bool
    limit: Limit
    key_limit: Limit


_QUEUES = """
SELECT q.name, held.paused_at IS NOT NULL, held.max_running IS NOT NULL OR held.rate_count IS NOT NULL,
       EXISTS (SELECT 1 FROM tasks t WHERE t.queue = q.name AND t.state = 'queued' AND NOT t.parked AND t.lane > '')
FROM unnest(%s::text[]) AS q(name) LEFT JOIN queues held ON held.name = q.name
"""
_TYPES = "SELECT name, paused_at IS NOT NULL, max_running, rate_count, rate_seconds FROM task_types"


def queue_gates(queues: Sequence[str]) -> dict[str, QueueGate]:
    """How each of these queues is to be served, in their order."""
    found = {name: QueueGate(*gate) for name, *gate in sql.rows(_QUEUES, [list(queues)])}
    return {name: found[name] for name in queues}


def type_gates() -> dict[str, TypeGate]:
    """The task types that are paused or limited, by people or in the code."""
    said = {name: (paused, Limit.of(*limits)) for name, paused, *limits in sql.rows(_TYPES, [])}
    found = {}
    for name in {*registry.names(), *said}:
        task_type, (paused, limit) = registry.find(name), said.get(name, (False, Limit()))
        in_code, of_key = (task_type.limit, task_type.key_limit) if task_type else (Limit(), Limit())
        gate = TypeGate(paused, limit.over(in_code), of_key)
        if gate.paused or gate.limit or gate.key_limit:
            found[name] = gate
    return found


_QUEUE = """
SELECT paused_at IS NOT NULL, max_running, rate_count, rate_seconds,
       tokens, coalesce(extract(epoch FROM clock_timestamp() - refilled_at)::float8, 1e9), clock_timestamp()
FROM queues WHERE name = %s
"""
_RUNNING = "SELECT count(*) FROM tasks WHERE queue = %s AND state = 'running'"
_CHARGE = "UPDATE queues SET tokens = %s, refilled_at = %s WHERE name = %s RETURNING name"


def queue_room(queue: str, *, lock: bool = False) -> Room:
    """How much may start in a queue; with `lock` nobody else can take of it until the transaction ends."""
    room = Room()
    for paused, *limits, tokens, age, at in sql.rows(_QUEUE + ("FOR UPDATE" if lock else ""), [queue]):
        limit = Limit.of(*limits)
        running = int(sql.rows(_RUNNING, [queue])[0][0]) if limit.max_running is not None else 0
        fill(room, limit, running, tokens, age, at)
        if paused:
            room.left = 0
    return room


def claim_limited(
    spots: Sequence[Spot], limits: Mapping[str, Limit], limit: int, taker: Taker, *, queue_is_limited: bool
) -> list[Claimed]:
    """Like `take`, for lanes of one queue, within the limits of the queue and of the scopes of its lanes.

    Locks come first, in one order for all: the queue's row, then those of the scopes. What runs is counted after
    that, in a statement of its own: one that waited for the lock inside would count by a snapshot from before it.
    """
    queue = spots[0].queue
    with transaction.atomic():
        sql.hold_briefly()
        of_queue = queue_room(queue, lock=True) if queue_is_limited else Room()
        of_scopes = rooms(limits, lock=True) if limits else {}
        batch = take(_fitting(spots, of_queue, of_scopes), min(limit, of_queue.left), taker)
        charge(of_scopes, Counter(scope for task in batch for scope in scopes_of(task.lane)))
        if of_queue.tokens is not None and batch:
            sql.rows(_CHARGE, [of_queue.tokens - len(batch), of_queue.at, queue])
    return batch


def _fitting(spots: Sequence[Spot], of_queue: Room, of_scopes: Mapping[str, Room]) -> list[Spot]:
    """The spots with no more wanted than there is room for."""
    fitting, left = [], of_queue.left
    for spot in spots:
        over = [of_scopes[scope] for scope in scopes_of(spot.lane) if scope in of_scopes]
        most = min([spot.most, left, *(room.left for room in over)])
        for room in over:
            room.left -= most
        if most > 0:
            left -= most
            fitting.append(replace(spot, most=most))
    return fitting
