"""Threads that send from one heap of work, a connection each. They know neither the database nor the campaign."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from campaigns.mailer.pool import Sender
from campaigns.smtp import Envelope, Outcome, Verdict

# How long a thread that is to go home may still wait for the answer to what it has sent.
_LEAVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Work:
    """A message to be made and sent: `make` is called by the thread that sends it, when its turn has come."""

    key: int
    make: Callable[[], Envelope]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message. `error` is what `make` raised instead of an envelope."""

    key: int
    outcome: Outcome | None = None
    error: Exception | None = None


@dataclass(eq=False, slots=True)
class _Lane:
    """One thread; `pulled` is the work it took and has not reported, in order: only the first may have left."""

    thread: threading.Thread | None = None
    pulled: deque[Work] = field(default_factory=deque)


class Crew:
    """Up to `size` threads. Give work by `add`, take reports by `collect`, end by `dismiss`, always."""

    def __init__(self, size: int, *, borrow: Callable[[], Sender], give_back: Callable[[Sender], None]) -> None:
        self.size = size
        # The error that ended a thread, if one did: a fault of ours, not an outcome.
        self.fault: BaseException | None = None
        self._borrow, self._give_back = borrow, give_back
        self._heap: SimpleQueue[Work | None] = SimpleQueue()
        self._reports: deque[Report] = deque()
        self._lanes: list[_Lane] = []
        self._halted = threading.Event()
        self._bell = threading.Event()
        self._wanted = 1

    @property
    def halted(self) -> bool:
        """Whether nothing further is begun: because of `halt`, or because the server refused us."""
        return self._halted.is_set()

    def halt(self) -> None:
        """Begin no further message; heard between two of them."""
        self._halted.set()
        self._bell.set()

    def add(self, work: list[Work]) -> None:
        for item in work:
            self._heap.put(item)
        while len(self._lanes) < min(self.size, self._heap.qsize()):
            lane = _Lane()
            lane.thread = threading.Thread(target=self._run, args=(lane,), daemon=True, name="sender")
            self._lanes.append(lane)
            lane.thread.start()

    def collect(self, wanted: int, seconds: float) -> list[Report]:
        """Wait until `wanted` reports are there, nothing further is begun, or time is up; all that are there."""
        self._wanted = wanted
        deadline = time.monotonic() + seconds
        while len(self._reports) < wanted and not self.halted and (left := deadline - time.monotonic()) > 0:
            self._bell.wait(left)
            self._bell.clear()
        return [self._reports.popleft() for _ in range(len(self._reports))]

    def dismiss(self) -> tuple[list[Report], list[int]]:
        """Send everybody home. Returns the last reports, and the keys that may have left without an answer.

        Work that is in neither was not begun.
        """
        self.halt()
        for _ in self._lanes:
            self._heap.put(None)
        deadline = time.monotonic() + _LEAVE_SECONDS
        for lane in self._lanes:
            if lane.thread is not None:
                lane.thread.join(max(0.0, deadline - time.monotonic()))
        in_doubt = [work.key for lane in self._lanes for work in list(lane.pulled)[:1]]
        return list(self._reports), in_doubt

    def _run(self, lane: _Lane) -> None:
        sender = self._borrow()
        try:
            while not self.halted and (work := self._heap.get()) is not None:
                self._deliver(lane, sender, work)
        except BaseException as fault:
            self.fault = fault
            self.halt()
            sender.close()
        else:
            self._give_back(sender)

    def _deliver(self, lane: _Lane, sender: Sender, first: Work) -> None:
        is_over = False
        for key, outcome in sender.deliver(self._envelopes(lane, first), self._halted.is_set):
            work = lane.pulled.popleft()
            if is_over:
                # Only looked ahead to when the one before ended the connection: its turn is still to come.
                self._heap.put(work)
                continue
            is_over = outcome.verdict in (Verdict.BLOCKED, Verdict.UNCONFIRMED)
            if outcome.verdict is Verdict.BLOCKED and not outcome.personal:
                self.halt()
            self._report(Report(key, outcome))

    def _envelopes(self, lane: _Lane, first: Work) -> Iterator[Envelope]:
        """The next messages as long as there are some: the sender must not wait for one with another half sent."""
        work: Work | None = first
        while work is not None:
            try:
                envelope = work.make()
            except Exception as error:
                self._report(Report(work.key, error=error))
            else:
                lane.pulled.append(work)
                yield envelope
            work = self._next()

    def _next(self) -> Work | None:
        try:
            work = self._heap.get_nowait()
        except Empty:
            return None
        if work is None:
            self._heap.put(None)  # it was meant for a thread that waits
        return work

    def _report(self, report: Report) -> None:
        self._reports.append(report)
        if len(self._reports) >= self._wanted:
            self._bell.set()
