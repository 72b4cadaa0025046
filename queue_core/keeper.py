"""The thread beside the tasks of a worker process: it beats, and lets nothing wait behind a slow task."""

import logging
import os
import resource
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

from django.db import Error, connection

from queue_core import broker, conf, lifecycle
from queue_core.execution import Run
from queue_core.fingerprints import fingerprint
from queue_core.hand import Hand
from queue_core.lifecycle import Ended, Failure
from queue_core.orders import Orders
from queue_core.services.beat import Pulse, beat, cancel_requests, sign_off
from queue_core.services.register_worker import register_worker
from queue_core.states import DeathReason, Outcome, TaskState
from queue_core.ticker import StandIn

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.5
_UNHELD_SECONDS = 10.0
# A heartbeat that fails for a reason of its own is tried again until the lease has so little left.
_UNSURE_SECONDS = 5.0
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

    def __init__(
        self, queues: list[str], hand: Hand, orders: Orders, *, pool: int | None = None, capacity: int = 1
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self.queues = queues
        self.hand = hand
        self.orders = orders
        self.pool = pool
        self.capacity = capacity
        sure_until = hand.clock() + conf.get("LEASE_SECONDS")
        self.worker_id = register_worker(queues, pool=pool, capacity=capacity)
        hand.lease_until = sure_until
        self.processor = Processor()
        self.stand_in = StandIn()
        self._closed = threading.Event()
        self._next_beat = 0.0
        # When to look for requests to cancel what runs.
        self._next_look = 0.0

    def close(self) -> None:
        """Stop beating and take the worker off the list."""
        self._closed.set()
        self.join()
        self.stand_in.close()
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
                self._try_again_soon()
            except Exception:
                if self.hand.clock() + _UNSURE_SECONDS >= self.hand.lease_until:
                    # A process that does not beat any more must not go on claiming; the pool starts another.
                    logger.exception("the heartbeat failed until the lease ran out; this process ends")
                    os.kill(os.getpid(), signal.SIGTERM)
                    break
                logger.exception("the heartbeat failed; the lease still holds, so it is tried again")
                self._try_again_soon()
        connection.close()

    def _try_again_soon(self) -> None:
        with suppress(Error):  # a connection that broke may refuse even that
            connection.close()
        self._next_beat = self.hand.clock() + 1.0
        self._closed.wait(0.5)

    def look(self) -> None:
        now = self.hand.clock()
        if now >= self._next_beat:
            self._next_beat = now + conf.get("HEARTBEAT_SECONDS")
            self._beat()
        self.orders.heed(self.worker_id, self.hand)
        given = self.hand.give_back_stale()
        if given:
            broker.ring(given.queue)
        slow = [run for run in self.hand.running() if now - run.since >= conf.get("FLUSH_SECONDS")]
        if slow:
            self._watch(slow, now)

    def _beat(self) -> None:
        running = self.hand.running()
        pulse = Pulse(
            finished_tasks=self.hand.finished_tasks,
            succeeded_tasks=self.hand.succeeded_tasks,
            failed_tasks=self.hand.failed_tasks,
            memory_mib=memory_mib(),
            cpu_percent=self.processor.percent(),
            current_task=running[0].task.id if running else None,
        )
        sure_until = self.hand.clock() + conf.get("LEASE_SECONDS")
        if not beat(self.worker_id, pulse):
            sure_until = self._take_new_place()
        self.hand.lease_until = sure_until
        unheld = lifecycle.release_unheld(self.worker_id, self.hand.held_ids(), _UNHELD_SECONDS)
        if unheld:
            logger.warning("gave back %d tasks whose claim this process never heard of", len(unheld))
        self.stand_in.look()

    def _take_new_place(self) -> float:
        """Go on under a new row after the lease was lost; answers until when that one is ours for sure.

        What runs is not ours any more: it is told to end like a cancelled task, as others run the same by now.
        """
        lost = self.worker_id
        self.hand.give_back()
        for run in self.hand.running():
            run.asked_at = run.asked_at or self.hand.clock()
        sure_until: float = self.hand.clock() + conf.get("LEASE_SECONDS")
        self.worker_id = register_worker(self.queues, pool=self.pool, capacity=self.capacity, after=lost)
        logger.warning("worker %d lost its lease; going on as worker %d", lost, self.worker_id)
        return sure_until

    def _watch(self, runs: list[Run], now: float) -> None:
        """Tell tasks that they are asked to end, interrupt what goes on too long, and at last end the process."""
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            asked = cancel_requests([run.task.id for run in runs if run.asked_at is None])
            for run in runs:
                if asked.get(run.task.id) == run.task.lease:
                    run.asked_at = now
        grace = conf.get("GRACE_SECONDS")
        deaf = [told for run in runs if (told := _press(run, now, grace))]
        if deaf:
            self._kill(deaf, now)

    def _kill(self, deaf: list[tuple[Run, TaskState, Outcome, Failure]], now: float) -> None:
        """Record the end of running tasks that do not hear, and end this process with them; an isolated one goes alone.

        What else runs here is taken back as lost.
        """
        still = set(self.hand.running())
        ended = []
        for run, state, outcome, failure in deaf:
            if run in still:
                logger.error("task %d: %s", run.task.id, failure.error)
                started, finished = (moment - run.task.claimed_at for moment in (run.since, now))
                told, alarm = Ended(run.task, state, outcome, started, finished, failure=failure), run.alarm
                if alarm is not None and not alarm.kill(told):
                    ended.append(told)
        if ended:
            self.hand.flush()
            lifecycle.finish(ended)
            sign_off(self.worker_id)
            os.kill(os.getpid(), signal.SIGKILL)


def _press(run: Run, now: float, grace: float) -> tuple[Run, TaskState, Outcome, Failure] | None:
    """What a task that is too long at it, or asked to end, is told next; how it ended when it hears nothing."""
    alarm = run.alarm
    if alarm is None:
        return None
    if now >= run.since + run.timeout:
        alarm.expire(run)
    if run.asked_at is not None and now >= run.asked_at + grace:
        alarm.cancel(run)
    if not alarm.is_at_work(run):
        return None
    if now >= run.since + run.timeout + grace:
        error = f"TimeoutError: ignored its timeout of {run.timeout:g} s for {grace:g} s more; process killed"
        mark = fingerprint(run.task.name, "builtins.TimeoutError", error)
        failure = Failure(error, "builtins.TimeoutError", fingerprint=mark, reason=DeathReason.TIMEOUT)
        return run, TaskState.FAILED, Outcome.FAILED, failure
    if run.asked_at is not None and now >= run.asked_at + 2 * grace:
        failure = Failure("ignored that it was asked to end; its process was killed", "cancelled")
        return run, TaskState.CANCELLED, Outcome.CANCELLED, failure
    return None
