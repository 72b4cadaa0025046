"""The tick: what must happen about once a second, whoever runs it.

Unparks what has come due, expires what came too late, takes tasks from lost workers, settles what others wait for,
fires schedules, and rings for every queue in which work is waiting. The last one is why nothing is lost when Valkey is
emptied.
"""

import logging
from collections.abc import Callable

from django.db import connection, transaction

from queue_core import broker, conf, lifecycle
from queue_core.claims import Claims
from queue_core.services.end_overdue import end_overdue
from queue_core.services.fire_schedules import fire_schedules
from queue_core.services.release_waiting import release_waiting
from queue_core.services.rescue import rescue
from queue_core.services.settle import settle

logger = logging.getLogger(__name__)

_LOCK = 0x706F7374  # "post": one tick at a time, over all hosts
_SLICE = 10_000
_SLICES = 20
_SCHEDULES = 100

_MARK = """
INSERT INTO ticks (id, ticked_at) VALUES (1, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET ticked_at = excluded.ticked_at
WHERE ticks.ticked_at < clock_timestamp() - make_interval(secs => %s)
RETURNING id
"""


def _take_turn(if_older_than: float) -> bool:
    """Record this tick; False when another process ticked less than `if_older_than` seconds ago, or is about to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return False
        cursor.execute(_MARK, [if_older_than])
        return cursor.fetchone() is not None


def _in_slices(step: Callable[[int], int], size: int) -> None:
    """Repeat a step that moves up to `size` rows while there are more; a long backlog also waits for the next tick."""
    for _ in range(_SLICES):
        if step(size) < size:
            return


def tick(if_older_than: float = 0.5) -> bool:
    """Tick unless someone did within `if_older_than` seconds. Answers whether it did."""
    with transaction.atomic():
        lifecycle.hold_briefly()
        if not _take_turn(if_older_than):
            return False
    # Each step commits for itself: a long backlog is worked off in slices, without long locks.
    _in_slices(lambda size: len(lifecycle.unpark(size)), _SLICE)
    _in_slices(lifecycle.expire, _SLICE)
    rescue()
    end_overdue()
    settle()
    release_waiting()
    _in_slices(fire_schedules, _SCHEDULES)
    for queue in Claims(conf.queues()).waiting():
        broker.ring(queue)
    return True
