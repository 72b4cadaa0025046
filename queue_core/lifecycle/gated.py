"""Queues that are held back: paused, or limited in what may run or start. Exact over all workers."""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from queue_core.lifecycle import sql
from queue_core.lifecycle.attempts import Claimed, claim


@dataclass(frozen=True, slots=True)
class Gate:
    paused: bool
    limited: bool


_GATES = """
SELECT name, paused_at IS NOT NULL, max_running IS NOT NULL OR rate_count IS NOT NULL FROM queues
WHERE name = ANY(%s::text[]) AND (paused_at IS NOT NULL OR max_running IS NOT NULL OR rate_count IS NOT NULL)
"""


def gates(queues: Sequence[str]) -> dict[str, Gate]:
    """The queues among these that are held back."""
    return {name: Gate(paused, limited) for name, paused, limited in sql.rows(_GATES, [list(queues)])}


# The bucket holds what may start within a second, at least one: starts are spread, not bunched at the full minute.
_LOCK = """
SELECT paused_at IS NOT NULL, max_running,
       CASE WHEN rate_count IS NOT NULL THEN least(
           greatest(1.0, rate_count::float8 / rate_seconds),
           tokens + coalesce(extract(epoch FROM clock_timestamp() - refilled_at)::float8, 1e9)
                    * rate_count / rate_seconds) END
FROM queues WHERE name = %s FOR UPDATE
"""
_RUNNING = "SELECT count(*) FROM tasks WHERE queue = %s AND state = 'running'"
_TAKE = "UPDATE queues SET tokens = %s, refilled_at = clock_timestamp() WHERE name = %s RETURNING name"


def claim_limited(queue: str, worker_id: int, limit: int, lease: uuid.UUID) -> list[Claimed]:
    """Like `claim`, for one queue with limits.

    The queue's row is locked first and the running tasks are counted after that, in a statement of their own: one
    that waited for the lock inside would count by a snapshot from before it. Of the room that is left a worker takes
    half, so that others find some; what it holds too long ahead it gives back.
    """
    with transaction.atomic():
        locked = sql.rows(_LOCK, [queue])
        if not locked or locked[0][0]:
            return [] if locked else claim([queue], worker_id, limit, lease)
        _, max_running, tokens = locked[0]
        if max_running is not None:
            room = max_running - int(sql.rows(_RUNNING, [queue])[0][0])
            limit = min(limit, math.ceil(room / 2))
        if tokens is not None:
            limit = min(limit, int(tokens))
        batch = claim([queue], worker_id, limit, lease) if limit > 0 else []
        if tokens is not None and batch:
            sql.rows(_TAKE, [tokens - len(batch), queue])
    return batch
