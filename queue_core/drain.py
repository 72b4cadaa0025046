"""The loop that empties queues: claim a batch, run it, write the outcomes; linger on the bell when there is nothing."""

import logging
import os
import signal
import threading
import time
import uuid
from itertools import groupby

from django.db import Error, connections

from queue_core import broker, conf, execution, lifecycle
from queue_core.hand import Hand
from queue_core.keeper import Keeper, memory_mib
from queue_core.lifecycle import Claimed, Gate
from queue_core.orders import Orders

logger = logging.getLogger(__name__)

_GROWTH = 4
_RING_SECONDS = 0.1
_LINGER_SECONDS = 0.75
# A pause or a limit is heard within this time.
_GATES_SECONDS = 0.8


class Station:
    """A worker process at work: its place in the list of workers, what it has in hand, and its pace."""

    def __init__(self, queues: list[str], *, pool: int | None = None) -> None:
        self.queues = queues
        self.hand = Hand()
        self.alarm = execution.Alarm()
        self.stopping = threading.Event()
        self.runner = execution.Runner(self.alarm, self.stopping.is_set)
        self.orders = Orders(self.stop, self.hand.clock)
        self.keeper = Keeper(queues, self.hand, self.alarm, self.orders, pool=pool)
        # How many tasks to claim: one until their speed is known.
        self.size = 1
        self._rung_at = 0.0
        self._broker_is_down = False
        # Which queues are held back, as looked up a moment ago.
        self._gates: dict[str, Gate] = {}
        self._gates_at = -_GATES_SECONDS

    def open(self) -> None:
        self.keeper.start()

    def close(self) -> None:
        self.keeper.close()
        connections.close_all()

    def stop(self) -> None:
        """Finish the running task, give back the rest, and end."""
        self.stopping.set()

    def serve(self, seconds: float, *, burst: bool = False) -> None:
        """Work for about that long, or until there is nothing to do (`burst`), or until stopped."""
        deadline = self.hand.clock() + seconds
        self.alarm.install()
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
            if not worked and (burst or self.linger(deadline)):
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

    def linger(self, deadline: float) -> bool:
        """Wait for a ring. True when the slice is over. With Valkey away, look again a little later instead."""
        if not self.orders.may_take:
            # Not in RQ's own loop: it would take jobs that wake others.
            self.orders.wait(_LINGER_SECONDS)
            return False
        left = deadline - self.hand.clock()
        if left <= 0 and not self._broker_is_down:
            return True
        self._look_at_gates()  # now, while nothing waits, and not between the ring and the claim
        try:
            broker.wait(self.queues, min(_LINGER_SECONDS, max(left, 0.05)))
            self._broker_is_down = False
        except broker.BrokerDown:
            # RQ could not start the next drain either, so this one goes on, past its time if need be.
            self._broker_is_down = True
            self.stopping.wait(0.5)
        return False

    def turn(self) -> str | None:
        """Claim and run one batch. Answers a queue that may hold more, or None when nothing was found."""
        self.hand.flush()
        self.hand.give_back()  # what an error of the database left behind
        if not self.orders.may_take:
            return None
        claimed_at = self.hand.clock()
        batch = self._claim()
        if not batch:
            return None
        queue = batch[0].queue
        if len(batch) == self.size:
            self._ring_for_others(queue)
        self.run_batch(batch, claimed_at)
        self._recycle_if_due()
        return queue

    def _look_at_gates(self) -> None:
        self._gates, self._gates_at = lifecycle.gates(self.queues), self.hand.clock()

    def _claim(self) -> list[Claimed]:
        """A batch from the open queues, in their order, all under one lease."""
        if self.hand.clock() - self._gates_at >= _GATES_SECONDS:
            self._look_at_gates()
        worker, lease = self.keeper.worker_id, uuid.uuid4()
        if not self._gates:
            return lifecycle.claim(self.queues, worker, self.size, lease)
        batch: list[Claimed] = []
        open_queues = [name for name in self.queues if not (name in self._gates and self._gates[name].paused)]
        for limited, names in groupby(open_queues, self._gates.__contains__):
            if limited:
                for name in names:
                    batch += lifecycle.claim_limited(name, worker, self.size - len(batch), lease)
            else:
                batch += lifecycle.claim(list(names), worker, self.size - len(batch), lease)
        return batch

    def run_batch(self, batch: list[Claimed], claimed_at: float) -> None:
        self.hand.take(self._isolate(batch), claimed_at)
        started, before = self.hand.clock(), self.hand.finished_tasks
        flush_count, flush_seconds = conf.get("FLUSH_COUNT"), conf.get("FLUSH_SECONDS")
        while not self.stopping.is_set():
            task = self.hand.next()
            if task is None:
                break
            if task.crashes:
                self.hand.flush()
            self.hand.done(self.runner.run(task, self.hand.since_claim))
            count, age = self.hand.unwritten()
            if count >= flush_count or age >= flush_seconds or execution.acks_each(task.name):
                self.hand.flush()
        self.hand.give_back()
        self.hand.flush()
        self._adapt(self.hand.clock() - started, self.hand.finished_tasks - before)
        if any(task.crashes for task in batch):
            self.size = 1  # there may be a herd of them: do not claim many to give back all but one

    def _isolate(self, batch: list[Claimed]) -> list[Claimed]:
        """A task that was lost with a worker before may be what kills workers: at most one, last, behind a flush."""
        suspects = [task for task in batch if task.crashes]
        if len(suspects) > 1:
            lifecycle.release(suspects[1:])
        return [task for task in batch if not task.crashes] + suspects[:1]

    def _adapt(self, seconds: float, finished: int) -> None:
        """Claim what takes about AHEAD_SECONDS: more while tasks are quick, less at once when they are slow."""
        if finished:
            fitting = int(conf.get("AHEAD_SECONDS") / max(seconds / finished, 1e-6))
            self.size = max(1, min(fitting, self.size * _GROWTH, conf.get("BATCH_MAX")))

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
