"""What a person asked of this worker, as its keeper last read it."""

import os
import signal
import threading
from collections.abc import Callable

from queue_core import broker, conf
from queue_core.hand import Hand
from queue_core.services.beat import acknowledge, desired
from queue_core.states import Desire


class Orders:
    """The keeper thread reads them (`heed`); the drain asks whether it may take work, and waits here while it may not.

    `stop` ends the drain after the running task. A worker that was told to end, and holds nothing any more, ends by the
    same signal as every other: it wakes RQ, too.
    """

    def __init__(self, stop: Callable[[], None], clock: Callable[[], float]) -> None:
        self.current: str = Desire.RUN
        self._stop = stop
        self._clock = clock
        self._may_take = threading.Event()
        self._may_take.set()
        self._next_look = 0.0
        self._heard_as: int | None = None  # another row after a lost lease, which must hear it, too
        self._signalled = False

    @property
    def may_take(self) -> bool:
        """Whether the worker may claim tasks."""
        return self._may_take.is_set()

    @property
    def is_leaving(self) -> bool:
        """Whether the worker was asked to end for good: its pool starts no other."""
        return self.current in (Desire.DRAIN, Desire.STOP)

    def wait(self, seconds: float) -> None:
        """Until tasks may be taken again, at most so long."""
        self._may_take.wait(seconds)

    def heed(self, worker_id: int, hand: Hand) -> None:
        """Look what is desired, obey, and say so. Cheap: a row by its key, every HEED_SECONDS."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + conf.get("HEED_SECONDS")
            wanted = desired(worker_id)
            if wanted is not None and (wanted, worker_id) != (self.current, self._heard_as):
                self._obey(wanted, hand)
                acknowledge(worker_id, wanted)
                self._heard_as = worker_id
        if self.is_leaving and not self._signalled and not hand.held_ids():
            self._signalled = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _obey(self, wanted: str, hand: Hand) -> None:
        self.current = wanted
        if wanted == Desire.RUN:
            self._may_take.set()
            return
        self._may_take.clear()
        if wanted == Desire.STOP:
            self._stop()
        if wanted != Desire.DRAIN:
            given = hand.give_back()
            if given:
                broker.ring(given.queue)
