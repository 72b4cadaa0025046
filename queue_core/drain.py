"""The loop that empties queues: claim a batch, run it, write the outcomes; linger on the bell when there is nothing."""

import logging
import os
import signal
import threading
import time

from django.db import Error, connections

from queue_core import broker, conf, lifecycle
from queue_core.claims import Claims
from queue_core.crew import Crew
from queue_core.execution import Capture, Isolation
from queue_core.hand import Hand
from queue_core.keeper import Keeper, memory_mib
from queue_core.lifecycle import Claimed
from queue_core.orders import Orders
from queue_core.writer import Writer

logger = logging.getLogger(__name__)

_GROWTH = 4
_RING_SECONDS = 0.1
_LINGER_SECONDS = 0.75
# A process that is full looks again after this time at the latest.
_FULL_SECONDS = 0.2
# A task that is going to kill its worker does so within this time, by assumption.
_SUSPECT_SECONDS = 5.0


class Station:
    """A worker process at work: its place in the list of workers, what it has in hand, and its pace."""

    def __init__(
        self,
        queues: list[str],
        *,
        pool: int | None = None,
        threads: int = 1,
        coroutines: int = 100,
        isolation: Isolation | None = None,
    ) -> None:
        self.queues = queues
        self.hand = Hand()
        self.stopping = threading.Event()
        self.hand.is_stopping = self.stopping.is_set
        self.writer = Writer(self.hand, self.stopping)
        self.crew = Crew(self.hand, self.writer, self.stopping, threads=threads, coroutines=coroutines)
        if isolation:
            self.crew.isolate(isolation)
        self.orders = Orders(self.stop, self.hand.clock)
        self.keeper = Keeper(queues, self.hand, self.orders, pool=pool, capacity=threads)
        self.capture = Capture(level=conf.get("LOG_LEVEL"))
        # How many tasks to claim: one until their speed is known.
        self.size = 1
        self._rung_at = 0.0
        self._broker_is_down = False
        self.claims = Claims(queues, self.stopping.is_set)
        # As of the last claim: tasks finished, and seconds they took.
        self._finished, self._used = 0, 0.0
        self._is_wary = False

    def open(self) -> None:
        logging.getLogger().addHandler(self.capture)
        self.keeper.start()
        self.writer.start()
        self.crew.open()

    def close(self) -> None:
        """Wait for what runs, write its outcomes, and leave the list of workers."""
        self.crew.close()
        self.writer.close()
        self._leave_nothing()
        self.keeper.close()
        logging.getLogger().removeHandler(self.capture)
        connections.close_all()

    def stop(self) -> None:
        """Finish what runs, give back the rest, and end."""
        self.stopping.set()

    def serve(self, seconds: float, *, burst: bool = False) -> None:
        """Work for about that long, or until there is nothing to do (`burst`), or until stopped."""
        deadline = self.hand.clock() + seconds
        self.crew.alarm.install()
        pause = 0.1
        while not self.stopping.is_set():
            try:
                worked = self.turn()
                pause = 0.1
            except Error as exc:
                logger.warning("PostgreSQL does not answer: %s", str(exc).strip().partition("\n")[0])
                connections.close_all()
                time.sleep(pause)
                pause = min(pause * 2, 2.0)
                continue
            if not worked and (self._is_over() if burst else self.linger(deadline)):
                break
            if self.hand.clock() >= deadline and worked and broker.ring(worked) is not False:
                break
        self._leave_nothing()

    def _leave_nothing(self) -> None:
        """At the end of a slice nothing stays in hand; with the database away, the lease runs out and others repeat."""
        try:
            self.hand.flush()
            self.hand.give_back()
        except Error as exc:
            logger.warning("could not write the last outcomes: %s", exc)
            connections.close_all()

    def _is_over(self) -> bool:
        """Whether nothing runs any more, and nothing waited for its end; waits a moment for it."""
        if self.hand.is_idle():
            self.hand.flush()
            return self.turn() is None
        self.crew.wait(0.05)
        return False

    def linger(self, deadline: float) -> bool:
        """Wait for a ring. True when the slice is over. With Valkey away, look again a little later instead."""
        if not self.orders.may_take:
            # Not in RQ's own loop: it would take jobs that wake others.
            self.orders.wait(_LINGER_SECONDS)
            return False
        left = deadline - self.hand.clock()
        if left <= 0 and not self._broker_is_down:
            return True
        try:
            broker.wait(self.queues, min(_LINGER_SECONDS, max(left, 0.05)))
            self._broker_is_down = False
        except broker.BrokerDown:
            # RQ could not start the next drain either, so this one goes on, past its time if need be.
            self._broker_is_down = True
            self.stopping.wait(0.5)
        return False

    def turn(self) -> str | None:
        """Claim and start one batch. Answers a queue that may hold more, or None when nothing was found."""
        if self.hand.is_overdue():
            self.hand.flush()
        if not self.orders.may_take:
            return None
        if not self.crew.have_room(self.size):
            self.crew.wait(_FULL_SECONDS)
            return self.queues[0]
        self._adapt()
        batch = self.claims.batch(self.keeper.worker_id, self.size)
        if not batch:
            return None
        queue = batch[0].queue
        if len(batch) == self.size:
            self._ring_for_others(queue)
        self.run_batch(batch)
        self._recycle_if_due()
        return queue

    def run_batch(self, batch: list[Claimed]) -> None:
        """Run the functions of a batch here, or have threads run them; coroutines have their own."""
        self.hand.take(self._isolate(batch))
        self.crew.start_new()
        if not self.crew.is_threaded:
            self.crew.run_here()
            # With nothing else in line, what these release is claimed at once, without a bell and another thread.
            if len(batch) < max(2, self.size) and self.hand.is_awaited() and not self.stopping.is_set():
                self.hand.flush(claims_next=self.queues if self.orders.may_take else ())
            else:
                self.writer.kick()

    def _isolate(self, batch: list[Claimed]) -> list[Claimed]:
        """A task that was lost with a worker before may be what kills workers: one at a time, last, behind a flush."""
        suspects = [task for task in batch if task.crashes]
        self._is_wary = bool(suspects)
        if not suspects:
            return batch
        self.hand.flush()
        kept = [] if self.hand.has_suspect(_SUSPECT_SECONDS) else suspects[:1]
        if len(suspects) > len(kept):
            lifecycle.release(suspects[len(kept) :])
        if not kept and len(suspects) == len(batch):
            self.crew.wait(_FULL_SECONDS)
        return [task for task in batch if not task.crashes] + kept

    def _adapt(self) -> None:
        """Claim what takes about AHEAD_SECONDS: more while tasks are quick, less at once when they are slow."""
        finished, used = self.hand.finished_tasks, self.crew.used()
        count, seconds = finished - self._finished, used - self._used
        self._finished, self._used = finished, used
        if count:
            fitting = int(conf.get("AHEAD_SECONDS") / max(seconds / count, 1e-6))
            self.size = max(1, min(fitting, self.size * _GROWTH, conf.get("BATCH_MAX")))
        if self._is_wary or self.hand.was_stale():
            # A herd of suspects, or slow tasks: do not claim many to give back all but one.
            self.size = 1

    def _ring_for_others(self, queue: str) -> None:
        now = self.hand.clock()
        if now - self._rung_at >= _RING_SECONDS:
            self._rung_at = now
            broker.ring(queue)

    def _recycle_if_due(self) -> None:
        if self.hand.finished_tasks >= conf.get("RECYCLE_TASKS") or memory_mib() > conf.get("RECYCLE_MIB"):
            logger.info("worker is replaced after %d tasks, %d MiB", self.hand.finished_tasks, memory_mib())
            os.kill(os.getpid(), signal.SIGTERM)


_station: Station | None = None


def install(station: Station) -> None:
    """Make `station` the one that drains of this process work at."""
    global _station
    _station = station


def drain(queue: str) -> None:
    """The RQ job: serve all queues of this worker for a slice. `queue` only says whose bell it was."""
    if _station is None:
        raise RuntimeError("Drains run in the processes of `manage.py worker`; plain rqworker cannot run them.")
    if not _station.orders.may_take:
        broker.ring(queue)  # this worker is paused: wake another
    _station.serve(conf.get("SLICE_SECONDS"))
