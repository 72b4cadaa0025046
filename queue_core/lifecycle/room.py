"""How much may start under a limit: running tasks counted, buckets looked at. Exact when locked first.

A scope is what a limit counts: `type:` for a whole type, `type:key` for one key of it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from queue_core import conf
from queue_core.lanes import key_in, type_in
from queue_core.lifecycle import sql
from queue_core.policies import Limit

_MANY = 1_000_000_000


@dataclass(slots=True)
class Room:
    """`left`: how many may start; `running`: how many run, when that is limited; `tokens`: in the bucket `at`."""

    left: int = _MANY
    running: int | None = None
    tokens: float | None = None
    at: Any = None


# Locked in one order by everybody, and before anything is counted. A new bucket is full, whatever it holds.
_LOCK = """
INSERT INTO lanes AS l (lane, tokens, refilled_at, idle_at)
SELECT n.lane, 1e9, clock_timestamp(), date_trunc('hour', now() + make_interval(secs => n.refill)) + interval '2 h'
FROM unnest(%s::text[], %s::float8[]) AS n(lane, refill) ORDER BY n.lane COLLATE "C"
ON CONFLICT (lane) DO UPDATE SET idle_at = greatest(l.idle_at, excluded.idle_at)
RETURNING lane, tokens, extract(epoch FROM clock_timestamp() - refilled_at)::float8, clock_timestamp()
"""
_BUCKETS = """
SELECT lane, tokens, extract(epoch FROM clock_timestamp() - refilled_at)::float8, clock_timestamp()
FROM lanes WHERE lane = ANY(%s::text[])
"""
# Queues are named so that one index serves this, what runs in a queue, in a type and in a lane.
_RUNNING = """
SELECT name, lane, count(*) FROM tasks
WHERE state = 'running' AND queue = ANY(%s::text[]) AND name = ANY(%s::text[]) GROUP BY name, lane
"""
_CHARGE = """
UPDATE lanes l SET tokens = c.tokens, refilled_at = c.at
FROM unnest(%s::text[], %s::float8[], %s::timestamptz[]) AS c(lane, tokens, at) WHERE l.lane = c.lane RETURNING l.lane
"""


def rooms(limits: Mapping[str, Limit], *, lock: bool = False) -> dict[str, Room]:
    """The room under each scope's limit; with `lock` nobody else can take of it until the transaction ends."""
    found = {scope: Room() for scope in limits}
    buckets = _lock(limits) if lock else _look(limits)
    running = _running({scope for scope, limit in limits.items() if limit.max_running is not None})
    for scope, limit in limits.items():
        fill(found[scope], limit, running.get(scope, 0), *buckets.get(scope, (_MANY, 0.0, None)))
    return found


def fill(room: Room, limit: Limit, running: int, tokens: float, age: float, at: Any) -> None:
    """Of the room that is left half may be taken at once, so that others find some."""
    if limit.max_running is not None:
        room.running = running
        room.left = math.ceil(max(0, limit.max_running - running) / 2)
    if limit.rate is not None:
        room.tokens, room.at = limit.rate.tokens(tokens, age), at
        room.left = min(room.left, int(room.tokens))


def _lock(limits: Mapping[str, Limit]) -> dict[str, tuple[float, float, Any]]:
    refill = [max(1.0, limit.rate.seconds / limit.rate.count) if limit.rate else 1.0 for limit in limits.values()]
    return {row[0]: row[1:] for row in sql.rows(_LOCK, [list(limits), sql.array(refill)])}


def _look(limits: Mapping[str, Limit]) -> dict[str, tuple[float, float, Any]]:
    rated = [scope for scope, limit in limits.items() if limit.rate]
    return {row[0]: row[1:] for row in sql.rows(_BUCKETS, [rated])} if rated else {}


def _running(scopes: set[str]) -> dict[str, int]:
    """Running tasks of each scope: one walk over what runs of these types, which the workers bound."""
    found = dict.fromkeys(scopes, 0)
    if scopes:
        names = sorted({type_in(scope) for scope in scopes})
        for name, lane, number in sql.rows(_RUNNING, [conf.queues(), names]):
            for scope in {f"{name}:", lane} & scopes:
                found[scope] += number
    return found


def charge(rooms: Mapping[str, Room], started: Mapping[str, int]) -> None:
    """Take what started out of the buckets of its scopes; they must be locked."""
    due = [
        (s, room.tokens - started[s], room.at) for s, room in rooms.items() if room.tokens is not None and s in started
    ]
    if due:
        sql.rows(_CHARGE, [[d[0] for d in due], sql.array(d[1] for d in due), [d[2] for d in due]])


# Locked as a claim does: queues first, then buckets in their order. What overflows is cut when a bucket is looked at.
_REFUND_QUEUES = """
WITH held AS MATERIALIZED (
    SELECT name FROM queues WHERE name = ANY(%s::text[]) AND rate_count IS NOT NULL ORDER BY name FOR UPDATE
)
UPDATE queues q SET tokens = q.tokens + g.n FROM unnest(%s::text[], %s::int[]) AS g(name, n)
WHERE q.name = g.name AND q.name = ANY(ARRAY(SELECT name FROM held)) RETURNING q.name
"""
_REFUND_LANES = """
WITH held AS MATERIALIZED (SELECT lane FROM lanes WHERE lane = ANY(%s::text[]) ORDER BY lane COLLATE "C" FOR UPDATE)
UPDATE lanes l SET tokens = l.tokens + g.n FROM unnest(%s::text[], %s::int[]) AS g(lane, n)
WHERE l.lane = g.lane AND l.lane = ANY(ARRAY(SELECT lane FROM held)) RETURNING l.lane
"""


def refund(given: Iterable[tuple[str, str]]) -> None:
    """Put back what tasks took out of buckets that did not start after all: a (queue, lane) for each."""
    queues, scopes = Counter[str](), Counter[str]()
    for queue, lane in given:
        queues[queue] += 1
        scopes.update(scopes_of(lane) if type_in(lane) else ())
    for statement, counts in ((_REFUND_QUEUES, queues), (_REFUND_LANES, scopes)):
        if counts:
            sql.rows(statement, [list(counts), list(counts), sql.array(counts.values())])


def scopes_of(lane: str) -> list[str]:
    """Of a lane with a type in its name: the type's, and the key's when it has one."""
    return [f"{type_in(lane)}:", lane] if key_in(lane) else [lane]
