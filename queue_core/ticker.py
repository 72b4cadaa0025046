"""The tick: what must happen about once a second, whoever runs it.

Unparks what has come due, expires what came too late, takes tasks from lost workers, settles what others wait for,
fires schedules, and rings for every queue in which work is waiting. The last one is why nothing is lost when Valkey is
emptied.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing

from django.db import Error, connection, transaction

from queue_core import broker, conf, lifecycle
from queue_core.claims import Claims
from queue_core.services.end_forsaken import end_forsaken
from queue_core.services.end_overdue import end_overdue
from queue_core.services.fire_schedules import fire_schedules
from queue_core.services.release_waiting import release_waiting
from queue_core.services.rescue import rescue
from queue_core.services.settle import settle

logger = logging.getLogger(__name__)

_LOCK = 0x706F7374  # "post": one tick at a time, over all hosts
_SLICE = 10_000
_SCHEDULES = 100
# What one step may take of a tick; what is left over waits for the next one.
_STEP_SECONDS = 5.0
# While a tick goes on, its mark is renewed as often, so that nobody begins another one beside it.
_MARK_SECONDS = 1.0

_MARK = """
INSERT INTO ticks (id, ticked_at) VALUES (1, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET ticked_at = excluded.ticked_at
WHERE ticks.ticked_at < clock_timestamp() - make_interval(secs => %s)
RETURNING id
"""


def _mark(if_older_than: float) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [if_older_than])
        return cursor.fetchone() is not None


def _take_turn(if_older_than: float) -> bool:
    """Record this tick; False when another process ticked less than `if_older_than` seconds ago, or is about to."""
    with transaction.atomic():
        lifecycle.hold_briefly()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            is_alone = cursor.fetchone()[0]
        return is_alone and _mark(if_older_than)


def _in_slices(step: Callable[[int], int], size: int, is_over: Callable[[], bool]) -> None:
    """Repeat a step that moves up to `size` rows while there are more, as long as it may take."""
    due, more = time.monotonic() + _STEP_SECONDS, True
    while more and time.monotonic() < due and not is_over():
        more = step(size) >= size
        _mark(_MARK_SECONDS)


def _never() -> bool:
    return False


def _work_off(is_over: Callable[[], bool]) -> None:
    """What is due. Each step commits for itself: a backlog is worked off in slices, without long locks."""
    _in_slices(lambda size: len(lifecycle.unpark(size)), _SLICE, is_over)
    _in_slices(lifecycle.expire, _SLICE, is_over)
    rescue()
    end_overdue()
    end_forsaken()
    _in_slices(settle, 1, is_over)  # the ends of one slice are those that the next one finds
    release_waiting()
    _in_slices(fire_schedules, _SCHEDULES, is_over)
    for queue in Claims(conf.queues()).waiting():
        broker.ring(queue)


def tick(if_older_than: float = 0.5) -> bool:
    """Tick unless someone did within `if_older_than` seconds. Answers whether it did."""
    if not _take_turn(if_older_than):
        return False
    _work_off(_never)
    return True


class StandIn:
    """Ticks for a scheduler that is missing, in a thread of its own: a long backlog holds up nobody's heartbeat."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def look(self) -> None:
        """Begin a tick if nobody did within TICK_LATE_SECONDS and the last one of this process is over."""
        is_at_it = self._thread is not None and self._thread.is_alive()
        if not is_at_it and not self._closed.is_set() and _take_turn(conf.get("TICK_LATE_SECONDS")):
            self._thread = threading.Thread(target=self._tick, name="ticker", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End a tick after the slice it is at."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        with closing(connection):
            try:
                _work_off(self._closed.is_set)
            except Error as exc:
                logger.warning("the tick was cut short: %s", str(exc).strip().partition("\n")[0])
            except Exception:
                logger.exception("the tick was cut short")
