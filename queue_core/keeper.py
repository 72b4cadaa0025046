"""The thread beside the tasks of a worker process: it beats, and lets nothing wait behind a slow task."""

import logging
import os
import resource
import signal
import threading
import time
from pathlib import Path

from django.db import Error, connection

from queue_core import broker, conf, lifecycle, registry
from queue_core.execution import Alarm
from queue_core.fingerprints import fingerprint
from queue_core.hand import Hand
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.orders import Orders
from queue_core.services.beat import Pulse, beat, is_cancel_requested, sign_off
from queue_core.services.register_worker import register_worker
from queue_core.states import DeathReason, Outcome, TaskState
from queue_core.ticker import tick

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.5
_UNHELD_SECONDS = 10.0
_PAGE_MIB = resource.getpagesize() / 2**20


def memory_mib() -> int:
    """Resident memory of this process in MiB."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(int(statm.read_text().split()[1]) * _PAGE_MIB)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


class Processor:
    """How much of one processor this process uses, all its threads together."""

    def __init__(self) -> None:
        self._at, self._used = time.monotonic(), time.process_time()

    def percent(self) -> float:
        """Since the last call."""
        at, used = time.monotonic(), time.process_time()
        share = (used - self._used) / max(at - self._at, 1e-3)
        self._at, self._used = at, used
        return round(100 * share, 1)


class Keeper(threading.Thread):
    """Owns the worker's row and its lease; `worker_id` changes when the lease was lost and a new row was made."""

    def __init__(self, queues: list[str], hand: Hand, alarm: Alarm, orders: Orders, *, pool: int | None = None) -> None:
        super().__init__(name="keeper", daemon=True)
        self.queues = queues
        self.hand = hand
        self.alarm = alarm
        self.orders = orders
        self.pool = pool
        self.worker_id = register_worker(queues, pool=pool)
        self.processor = Processor()
        self._closed = threading.Event()
        self._next_beat = 0.0
        # Of the running task: when to look for a request to cancel it, and when one was found.
        self._next_look = 0.0
        self._asked_at: float | None = None
        self._watched: Claimed | None = None

    def close(self) -> None:
        """Stop beating and take the worker off the list."""
        self._closed.set()
        self.join()
        try:
            sign_off(self.worker_id)
        except Error as exc:
            logger.warning("could not sign off (%s); the lease runs out by itself", exc)

    def run(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            try:
                self.look()
            except Error as exc:
                # PostgreSQL is away. The lease may run out meanwhile; the next beat finds that out.
                logger.warning("PostgreSQL does not answer: %s", str(exc).strip().partition("\n")[0])
                connection.close()
                self._next_beat = self.hand.clock() + 1.0
                self._closed.wait(0.5)
            except Exception:
                # A process that does not beat any more must not go on claiming; the pool starts another.
                logger.exception("the heartbeat failed; this process ends")
                os.kill(os.getpid(), signal.SIGTERM)
                break
        connection.close()

    def look(self) -> None:
        now = self.hand.clock()
        if now >= self._next_beat:
            self._next_beat = now + conf.get("HEARTBEAT_SECONDS")
            self._beat()
        self.orders.heed(self.worker_id, self.hand)
        current, since = self.hand.current, self.hand.current_since
        if current is not None:
            self._tidy_behind(current, now - since)

    def _beat(self) -> None:
        current = self.hand.current
        pulse = Pulse(
            finished_tasks=self.hand.finished_tasks,
            succeeded_tasks=self.hand.succeeded_tasks,
            failed_tasks=self.hand.failed_tasks,
            memory_mib=memory_mib(),
            cpu_percent=self.processor.percent(),
            current_task=current.id if current else None,
        )
        if not beat(self.worker_id, pulse):
            lost = self.worker_id
            self.worker_id = register_worker(self.queues, pool=self.pool, after=lost)
            logger.warning("worker %d lost its lease; going on as worker %d", lost, self.worker_id)
        unheld = lifecycle.release_unheld(self.worker_id, self.hand.held_ids(), _UNHELD_SECONDS)
        if unheld:
            logger.warning("gave back %d tasks whose claim this process never heard of", len(unheld))
        tick(if_older_than=conf.get("TICK_LATE_SECONDS"))

    def _tidy_behind(self, current: Claimed, running: float) -> None:
        """What a task that takes long must not hold up: claimed tasks, unwritten outcomes, and the process itself."""
        if running >= conf.get("AHEAD_SECONDS"):
            given = self.hand.give_back()
            if given:
                broker.ring(given.queue)
        if running >= conf.get("FLUSH_SECONDS"):
            self.hand.flush()
            self._end_if_overdue(current, running)
            self._obey_cancel(current, running)

    def _end_if_overdue(self, current: Claimed, running: float) -> None:
        task_type, grace = registry.find(current.name), conf.get("GRACE_SECONDS")
        if task_type is None or running < task_type.timeout + grace:
            return
        error = f"TimeoutError: ignored its timeout of {task_type.timeout:g} s for {grace:g} s more; process killed"
        mark = fingerprint(current.name, "builtins.TimeoutError", error)
        failure = Failure(error, "builtins.TimeoutError", fingerprint=mark, reason=DeathReason.TIMEOUT)
        self._kill(current, running, TaskState.FAILED, Outcome.FAILED, failure)

    def _obey_cancel(self, current: Claimed, running: float) -> None:
        """Tell the task that it is asked to end; after a grace interrupt it, after another kill its process."""
        now, grace = self.hand.clock(), conf.get("GRACE_SECONDS")
        if self._watched is not current:
            self._watched, self._asked_at, self._next_look = current, None, 0.0
        if self._asked_at is None:
            if now < self._next_look:
                return
            self._next_look = now + _LOOK_SECONDS
            if is_cancel_requested(current.id, current.lease) and self.hand.current is current:
                self._asked_at, self.alarm.asked = now, current
        elif now >= self._asked_at + 2 * grace:
            failure = Failure("ignored that it was asked to end; its process was killed", "cancelled")
            self._kill(current, running, TaskState.CANCELLED, Outcome.CANCELLED, failure)
        elif now >= self._asked_at + grace and self.hand.current is current:
            self.alarm.interrupt(current)

    def _kill(self, current: Claimed, running: float, state: TaskState, outcome: Outcome, failure: Failure) -> None:
        """Record the end of the running task, which does not hear, and end this process with it."""
        if self.hand.current is not current:
            return
        logger.error("task %d: %s", current.id, failure.error)
        finished = self.hand.since_claim()
        lifecycle.finish([Ended(current, state, outcome, finished - running, finished, failure=failure)])
        sign_off(self.worker_id)
        os.kill(os.getpid(), signal.SIGKILL)
