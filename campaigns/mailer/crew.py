"""Senders that work off one heap, a connection each. They know neither the database nor the campaign."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from campaigns import fibers
from campaigns.mailer.pool import Sender
from campaigns.smtp import BEFORE_MAIL, ENDS, Envelope, Outcome, Verdict

_BAD_NEWS = 3


@dataclass(frozen=True, slots=True)
class Work:
    """A message to be made and sent: `make` is called by the sender, in its thread, when its turn has come."""

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
    """One sender; `pulled` is the work it took and has not reported, in order: only the first may have left."""

    pulled: deque[Work] = field(default_factory=deque)
    is_home: bool = False


class Crew:
    """Up to `size` senders. Give work by `add`, take reports by `collect`, end by `dismiss`, always.

    One whom the server does not let in goes home for good, and its work to the others: that is a refusal of us only
    when nobody else is at work.

    They share `threads` threads. Those of one thread are fibers, who must wait by `fibers.wait`; others need one each.
    """

    def __init__(
        self, size: int, *, threads: int, borrow: Callable[[], Sender], give_back: Callable[[Sender], None]
    ) -> None:
        self.size = size
        # The error that ended a sender, if one did: a fault of ours, not an outcome.
        self.fault: BaseException | None = None
        self._borrow, self._give_back = borrow, give_back
        self._heap: deque[Work] = deque()
        self._reports: deque[Report] = deque()
        self._lanes: list[_Lane] = []
        self._at_most = threads
        # One for each thread, made with it: a loop that never runs would keep its descriptors.
        self._loops: list[fibers.Loop] = []
        self._threads: list[threading.Thread] = []
        self._halted = threading.Event()
        self._bell = threading.Event()
        self._wanted = 1
        self._lock = threading.Lock()
        self._at_work = 0
        # Reports in a row that nobody was taken, for a reason that others may meet as well.
        self._bad = 0

    @property
    def halted(self) -> bool:
        """Whether nothing further is begun: because of `halt`, or because the server refused us."""
        return self._halted.is_set()

    def halt(self) -> None:
        """Begin no further message; heard between two of them."""
        self._halted.set()
        self._bell.set()
        self._wake()

    def add(self, work: list[Work]) -> None:
        self._heap.extend(work)
        for number in range(len(self._lanes), min(self.size, len(self._heap))):
            lane = _Lane()
            self._lanes.append(lane)
            with self._lock:
                self._at_work += 1
            if number < self._at_most:
                self._loops.append(fibers.Loop())
            loop = self._loops[number % self._at_most]
            loop.start(partial(self._run, lane))
            if number < self._at_most:
                thread = threading.Thread(target=loop.run, daemon=True, name="sender")
                thread.start()
                self._threads.append(thread)
        self._wake()

    def collect(self, wanted: int, seconds: float) -> deque[Report]:
        """Wait until `wanted` reports are there, nothing further is begun, or time is up; all that are there.

        Bad news in a row is told at once: the next ones would fare no better.
        Take each out (`popleft`) when it is noted, not before: one that is lost is a message nobody knows of.
        """
        self._wanted = wanted
        deadline = time.monotonic() + seconds
        while not self._has_news() and not self.halted and (left := deadline - time.monotonic()) > 0:
            self._bell.wait(left)
            self._bell.clear()
        return self._reports

    def dismiss(self, seconds: float) -> tuple[deque[Report], set[int]]:
        """Send everybody home, within `seconds`: so long may the answers to what is under way take.

        Returns the last reports, and the keys of the work that was certainly not begun. Of what is in neither, nobody
        knows whether it has left.
        """
        self.halt()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        # A sender that is still at it begins no further body: what is behind its first is safe, whatever it does now.
        untouched = {work.key for lane in self._lanes for work in list(lane.pulled)[1:]}
        return self._reports, untouched | {work.key for work in list(self._heap)}

    def _run(self, lane: _Lane) -> None:
        sender = None
        try:
            sender = self._borrow()
            while not self.halted and not lane.is_home:
                if (work := self._next()) is not None:
                    self._deliver(lane, sender, work)
                else:
                    fibers.park()
        except BaseException as fault:
            self.fault = fault
            self.halt()
            if sender is not None:
                sender.close()
        else:
            self._give_back(sender)

    def _deliver(self, lane: _Lane, sender: Sender, first: Work) -> None:
        is_over = False
        for key, outcome in sender.deliver(self._envelopes(lane, first), self._halted.is_set):
            if is_over and outcome.verdict is Verdict.NOT_SENT:
                # Only looked ahead to when the one before ended the connection: its turn is still to come.
                self._heap.append(lane.pulled.popleft())
                continue
            is_over = outcome.verdict in ENDS
            if outcome.verdict is Verdict.BLOCKED and outcome.stage in BEFORE_MAIL and self._goes_home(lane):
                return
            if outcome.verdict is Verdict.BLOCKED and not outcome.personal:
                self.halt()
            self._report(Report(key, outcome))
            # Not before it is reported: in the meantime it would be in nobody's hands.
            lane.pulled.popleft()

    def _goes_home(self, lane: _Lane) -> bool:
        """Leave the work to the others; False for the last one, who has to report it."""
        with self._lock:
            self._at_work -= 1
            if not self._at_work:
                return False
        lane.is_home = True
        while lane.pulled:
            self._heap.append(lane.pulled.popleft())
        self._wake()
        return True

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
            return self._heap.popleft()
        except IndexError:
            return None

    def _wake(self) -> None:
        for loop in self._loops:
            loop.wake()

    def _has_news(self) -> bool:
        return len(self._reports) >= (1 if self._bad >= _BAD_NEWS else self._wanted)

    def _report(self, report: Report) -> None:
        if report.outcome is not None:
            is_bad = report.outcome.verdict in ENDS or report.outcome.vague
            self._bad = self._bad + 1 if is_bad else 0
        self._reports.append(report)
        if self._has_news():
            self._bell.set()
