"""What a worker process has in hand: tasks claimed but not started, those that run, outcomes not written yet.

Shared by the station (which claims), by whoever runs tasks, by the writer and the keeper thread. Every task is taken
out by exactly one of them.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection

from django.db import DatabaseError, InterfaceError, OperationalError

from queue_core import conf, lifecycle
from queue_core.execution import Notes, Run, is_async
from queue_core.fingerprints import fingerprint
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.services.settle import settle
from queue_core.states import DeathReason, Outcome, TaskState

logger = logging.getLogger(__name__)

# The rest of a batch that was expected to take AHEAD_SECONDS is given back after so many times that.
_PATIENCE = 5


def _releases(ended: Ended) -> bool:
    return ended.task.awaited and ended.state != TaskState.QUEUED


class Hand:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        # Until when what is in hand is ours for sure; the keeper moves it on. The clock goes on while we are stopped.
        self.lease_until = math.inf
        self.finished_tasks = 0
        self.notes = Notes()
        # Whether the process is to stop, for tasks that ask.
        self.is_stopping: Callable[[], bool] = lambda: False
        self.succeeded_tasks = 0
        self.failed_tasks = 0
        self._flush_count: int = conf.get("FLUSH_COUNT")
        self._flush_seconds: float = conf.get("FLUSH_SECONDS")
        # Functions and coroutines lie apart: different ones run them.
        self._ahead: tuple[deque[Claimed], deque[Claimed]] = (deque(), deque())
        # Given back, but perhaps the answer was lost: other workers may have these. Released again, never run.
        self._leaving: list[Claimed] = []
        self._running: tuple[set[Run], set[Run]] = (set(), set())
        # Seconds that finished functions and coroutines took, all in all.
        self.seconds = [0.0, 0.0]
        self._ended: list[Ended] = []
        self._oldest = 0.0
        self._moved_at = 0.0
        self._was_stale = False
        # Which tasks run on the event loop, by name.
        self.is_async: Callable[[str], bool] = is_async
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._releasing = threading.Lock()

    def take(self, batch: list[Claimed]) -> None:
        with self._lock:
            for task in batch:
                self._ahead[self.is_async(task.name)].append(task)
        self._moved_at = self.clock()

    def next(self, *, coroutine: bool = False) -> Run | None:
        """The next task to run, or None when there is none (or it was given back, or its lease may have run out)."""
        with self._lock:
            now = self.clock()
            if not self._ahead[coroutine] or now >= self.lease_until:
                return None
            run = Run(self._ahead[coroutine].popleft(), now, coroutine=coroutine, notes=self.notes)
            run.is_stopping = self.is_stopping
            self._running[coroutine].add(run)
        self._moved_at = run.since
        return run

    def done(self, run: Run, ended: Ended) -> None:
        with self._lock:
            self._running[run.coroutine].discard(run)
            self.finished_tasks += 1
            self.succeeded_tasks += ended.outcome == Outcome.SUCCEEDED
            self.failed_tasks += ended.outcome == Outcome.FAILED
            self.seconds[run.coroutine] += ended.finished - ended.started
            self._oldest = min(self._oldest, run.since) if self._ended else run.since
            self._ended.append(ended)

    def running(self) -> list[Run]:
        """What runs now, the longest first."""
        with self._lock:
            found = [run for runs in self._running for run in runs]
        return sorted(found, key=lambda run: run.since)

    def ahead(self, *, coroutine: bool = False) -> int:
        """How many claimed tasks were not started."""
        return len(self._ahead[coroutine])

    def busy(self, *, coroutine: bool = False) -> int:
        """How many run now."""
        return len(self._running[coroutine])

    def is_idle(self) -> bool:
        with self._lock:
            return not any(map(len, (*self._running, *self._ahead)))

    def unwritten(self) -> tuple[int, float]:
        """(how many outcomes wait to be written, seconds since the first of them was started)."""
        count = len(self._ended)
        return count, (self.clock() - self._oldest if count else 0.0)

    def holds(self, ended: Ended) -> bool:
        """Whether this outcome is not written yet."""
        with self._lock:
            return any(one is ended for one in self._ended)

    def is_due(self) -> bool:
        """Whether outcomes should be written soon."""
        count, age = self.unwritten()
        return count >= self._flush_count or age >= self._flush_seconds / 2

    def is_overdue(self) -> bool:
        """Whether nothing more may start before outcomes are written: a crash could repeat all of them."""
        count, age = self.unwritten()
        return count >= 2 * self._flush_count or age >= self._flush_seconds

    def give_back_stale(self) -> Claimed | None:
        """Give back what others could do: it lies behind slow tasks."""
        if self._leaving:
            self._release()
        with self._lock:  # others take out the last one at any moment
            ahead = [tasks[0] for tasks in self._ahead if tasks]
        seconds, now = conf.get("AHEAD_SECONDS"), self.clock()
        if not ahead or (now - self._moved_at < seconds and now - ahead[0].claimed_at < _PATIENCE * seconds):
            return None
        self._was_stale = True
        return self.give_back()

    def was_stale(self) -> bool:
        """Whether something had to be given back since the last call."""
        stale, self._was_stale = self._was_stale, False
        return stale

    def has_suspect(self, seconds: float) -> bool:
        """Whether a task that was lost with a worker before waits here, or runs for less than so long."""
        with self._lock:
            ahead = any(task.crashes for tasks in self._ahead for task in tasks)
        return ahead or any(run.task.crashes and self.clock() - run.since < seconds for run in self.running())

    def give_back(self) -> Claimed | None:
        """Release every task that was not started; answers one of them, for its queue's bell."""
        with self._lock:
            for tasks in self._ahead:
                self._leaving += tasks
                tasks.clear()
        return self._release()

    def _release(self) -> Claimed | None:
        with self._releasing:
            given = list(self._leaving)
            if not given:
                return None
            lifecycle.release(given)
            with self._lock:
                del self._leaving[: len(given)]
        return given[0]

    def held_ids(self) -> list[int]:
        """Every task this process knows it holds."""
        with self._lock:
            ahead = [task.id for tasks in self._ahead for task in tasks]
            running = [run.task.id for runs in self._running for run in runs]
            ended = [ended.task.id for ended in self._ended]
            return [*ahead, *running, *ended, *(task.id for task in self._leaving)]

    def is_awaited(self) -> bool:
        """Whether an outcome that is not written yet may release other tasks."""
        with self._lock:
            return any(_releases(one) for one in self._ended)

    def flush(self, claims_next: Collection[str] = ()) -> None:
        """Write what tasks said, and the outcomes that wait.

        Queues in `claims_next` are not rung for what these release. When the database is away they stay in hand and the
        error is raised.
        """
        with self._writing:
            # In this order: notes are taken of attempts that run, and all that these have said is there.
            with self._lock:
                ended = list(self._ended)
            self.notes.write()
            count = len(ended)
            if not count:
                return
            try:
                held = lifecycle.finish(ended)
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                held = self._finish_singly(ended)
            with self._lock:
                del self._ended[:count]
                self._oldest = min((late.task.claimed_at + late.started for late in self._ended), default=0.0)
            if any(map(_releases, ended)):
                settle(slices=1, claims_next=claims_next)  # the ticker does the rest of a long one
        if len(held) < count:
            logger.warning(
                "%d outcomes came too late: their leases were lost and others run the tasks", count - len(held)
            )

    def _finish_singly(self, ended: list[Ended]) -> set[int]:
        """One outcome of the batch cannot be stored: find it, and fail that task with the reason."""
        held: set[int] = set()
        for one in ended:
            try:
                held |= lifecycle.finish([one])
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError as exc:
                reason = f"the outcome could not be stored: {exc}".replace("\x00", "")[:500]
                mark = fingerprint(one.task.name, "unstorable", reason)
                failure = Failure(reason, fingerprint=mark, reason=DeathReason.DISCARDED)
                told = Ended(one.task, TaskState.FAILED, Outcome.FAILED, one.started, one.finished, failure=failure)
                held |= lifecycle.finish([told])
        return held
