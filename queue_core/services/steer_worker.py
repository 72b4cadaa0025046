"""pause, resume, drain and stop workers: what is desired is written down, and each worker acknowledges it."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from queue_core.models import Worker
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome
from queue_core.states import STEERS, Desire

# The pools first, as their parents do when they shrink: two that lock the other way round would wait for each other.
_LOCK_POOLS = """
SELECT id FROM worker_pools WHERE id IN (SELECT pool_id FROM workers WHERE id = ANY(%s::bigint[]))
ORDER BY id FOR UPDATE
"""
# A worker that is to end leaves its pool smaller, so that the pool does not start another in its place.
_STEER = """
WITH before AS MATERIALIZED (
    SELECT id, desired FROM workers
    WHERE id = ANY(%(ids)s::bigint[]) AND desired = ANY(%(allowed)s) AND state = 'online' AND lease_until > now()
    ORDER BY id FOR UPDATE
), moved AS (
    UPDATE workers w SET desired = %(desire)s, desired_at = now() FROM before WHERE w.id = before.id
    RETURNING w.id, w.pool_id, before.desired AS was
), leaving AS (
    SELECT pool_id, count(*) AS n FROM moved WHERE %(ends)s AND was IN ('run', 'pause') GROUP BY pool_id
), smaller AS (
    UPDATE worker_pools p SET wanted = greatest(0, p.wanted - leaving.n) FROM leaving WHERE p.id = leaving.pool_id
)
SELECT count(*) FROM moved
"""


def pause_worker(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Have workers finish what runs, give back what they claimed ahead, and take nothing; heard within a second.

    Holds for the process: one that is started in its place works. To hold work back for good, pause its queue.
    """
    return _steer(ids, Desire.PAUSE, "Paused", "not at work", by)


def resume_worker(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Let paused workers go on, within a second."""
    return _steer(ids, Desire.RUN, "Resumed", "not paused", by)


def drain_worker(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Have workers finish all they hold, and end. Their pools get smaller by them."""
    return _steer(ids, Desire.DRAIN, "Drained", "ended, or about to", by)


def stop_worker(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Have workers finish what runs, give back the rest, and end. Their pools get smaller by them."""
    return _steer(ids, Desire.STOP, "Stopped", "ended, or about to", by)


def _steer(ids: Sequence[int], desire: Desire, done: str, reason: str, by: audit.Actor | None) -> BulkOutcome:
    asked = sorted(set(checked_ids(ids)))
    params: dict[str, Any] = {
        "ids": asked,
        "allowed": sorted(STEERS[desire]),
        "desire": desire,
        "ends": desire in (Desire.DRAIN, Desire.STOP),
    }
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_POOLS, [asked])
            cursor.execute(_STEER, params)
            (moved,) = cursor.fetchone()
        outcome = BulkOutcome(moved, len(asked) - moved, reason)
        if moved:
            audit.record(Worker, asked, outcome.sentence(done, "worker"), by=by)
    return outcome
