"""What a worker process has in hand: tasks claimed but not started, the running one, outcomes not written yet.

Shared by the drain (which runs tasks) and the keeper thread (which must not let any of this wait). Every task is taken
out by exactly one of the two.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, OperationalError

from queue_core import lifecycle
from queue_core.fingerprints import fingerprint
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.states import DeathReason, Outcome, TaskState

logger = logging.getLogger(__name__)


class Hand:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.claimed_at = 0.0
        self.current: Claimed | None = None
        self.current_since = 0.0
        self.finished_tasks = 0
        self.succeeded_tasks = 0
        self.failed_tasks = 0
        self._ahead: deque[Claimed] = deque()
        self._ended: list[Ended] = []
        self._oldest = 0.0
        self._writing = threading.Lock()

    def take(self, batch: list[Claimed], claimed_at: float) -> None:
        self.claimed_at = claimed_at
        self._ahead.extend(batch)

    def since_claim(self) -> float:
        return self.clock() - self.claimed_at

    def next(self) -> Claimed | None:
        """The next task to run, or None when the batch is over (or was given back)."""
        try:
            task = self._ahead.popleft()
        except IndexError:
            return None
        self.current_since = self.clock()
        self.current = task
        return task

    def done(self, ended: Ended) -> None:
        self.current = None
        self.finished_tasks += 1
        self.succeeded_tasks += ended.outcome == Outcome.SUCCEEDED
        self.failed_tasks += ended.outcome == Outcome.FAILED
        if not self._ended:
            self._oldest = self.clock()
        self._ended.append(ended)

    def unwritten(self) -> tuple[int, float]:
        """(how many outcomes wait to be written, age of the oldest in seconds)."""
        count = len(self._ended)
        return count, (self.clock() - self._oldest if count else 0.0)

    def give_back(self) -> Claimed | None:
        """Release every task that was not started; answers one of them, for its queue's bell."""
        given: list[Claimed] = []
        while True:
            try:
                given.append(self._ahead.pop())
            except IndexError:
                break
        if not given:
            return None
        try:
            lifecycle.release(given)
        except DatabaseError:
            self._ahead.extend(given)  # they are still ours to give back, or to run
            raise
        return given[0]

    def held_ids(self) -> list[int]:
        """Every task this process knows it holds."""
        current = self.current
        known = [*list(self._ahead), *(ended.task for ended in list(self._ended)), *([current] if current else [])]
        return [task.id for task in known]

    def flush(self) -> None:
        """Write the outcomes that wait. When the database is away they stay in hand and the error is raised."""
        with self._writing:
            count = len(self._ended)
            if not count:
                return
            ended = self._ended[:count]
            try:
                held = lifecycle.finish(ended)
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                held = self._finish_singly(ended)
            del self._ended[:count]
            self._oldest = self.clock()
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
