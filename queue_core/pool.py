"""The parent of worker processes: imports the project once, forks, and replaces what ends."""

import ctypes
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

from django.db import Error, connections

from queue_core.services.worker_pool import close_pool, open_pool, poll_pool

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
# A fork and a try to connect cost little; workers are to be there seconds after what kept them away is over.
_BACKOFF_MAX = 5.0
_SETTLED_SECONDS = 10.0
_POLL_SECONDS = 1.0
# The exit code of a child that was asked to leave: it is not replaced.
_LEFT = 3


class Pool:
    """Keeps children running `serve` until SIGTERM or SIGINT; then each finishes its task and ends.

    How many, the pool's row says, which a person may change; with PostgreSQL away it is as many as it said last.
    `serve` is given the id of the pool (None when it could not be written yet) and answers whether it leaves for good.
    """

    def __init__(
        self, serve: Callable[[int | None], bool], queues: Sequence[str], size: int, stop_seconds: float
    ) -> None:
        self.serve = serve
        self.queues = queues
        self.size = size
        self.stop_seconds = stop_seconds
        self.pool_id: int | None = None
        self.children: dict[int, float] = {}  # pid -> started at
        self.stopping = False
        self._failures = 0
        self._not_before = 0.0
        self._next_poll = 0.0

    def run(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._request_stop)
        # What was imported stays as long as the process. Collections of garbage leave it alone from here on: looking
        # through it would hold up a worker's tasks for 0.1 s now and then, and copy the pages it shares with this one.
        gc.collect()
        gc.freeze()
        while not self.stopping:
            self._poll()
            if len(self.children) < self.size and time.monotonic() >= self._not_before:
                self._fork()
                continue
            self._reap()
            time.sleep(0.1)
        self._stop_children()
        self._sign_off()

    def _poll(self) -> None:
        """Hear how many children are wanted, about once a second."""
        now = time.monotonic()
        if now < self._next_poll:
            return
        self._next_poll = now + _POLL_SECONDS
        try:
            wanted = poll_pool(self.pool_id, list(self.children)) if self.pool_id is not None else None
            if wanted is None:
                self.pool_id = open_pool(self.queues, self.size)
            else:
                self.size = wanted
        except Error as exc:
            logger.warning("PostgreSQL does not answer: %s", str(exc).strip().partition("\n")[0])
            connections.close_all()

    def _sign_off(self) -> None:
        try:
            if self.pool_id is not None:
                close_pool(self.pool_id)
        except Error as exc:
            logger.warning("the pool could not sign off: %s", str(exc).strip().partition("\n")[0])
        connections.close_all()

    def _request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _fork(self) -> None:
        connections.close_all()  # a connection must not cross a fork
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self.children[pid] = time.monotonic()
            return
        status = 1
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_DFL)  # not the parent's handlers
        try:
            os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which tells the children once
            _end_with_parent(parent)
            status = _LEFT if self.serve(self.pool_id) else 0
        except Error as exc:
            logger.error("PostgreSQL does not answer: %s", str(exc).strip().partition("\n")[0])
        except Exception:
            logger.exception("worker process ends")
        finally:
            os._exit(status)

    def _reap(self) -> None:
        for pid in list(self.children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            lasted = time.monotonic() - self.children.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if code in (0, _LEFT):
                self._failures = 0
                # The row says it, too; but it may not have been read since.
                self.size = min(self.size, len(self.children)) if code == _LEFT else self.size
                continue
            wait = self._pause_after(code, lasted)
            self._not_before = time.monotonic() + wait
            logger.warning("worker process %d ended (%s); the next one starts in %g s", pid, _exit_text(code), wait)

    def _pause_after(self, code: int, lasted: float) -> float:
        """Seconds until the next start. A child that cannot start backs off; one that was killed (by a task that kills
        workers, by the system for its memory) says nothing about the next, and tasks must not wait for it."""
        if lasted > _SETTLED_SECONDS or code < 0:
            self._failures = 0
            return 0.0 if lasted > _SETTLED_SECONDS else 1.0
        self._failures += 1
        return min(2.0 ** (self._failures - 1), _BACKOFF_MAX)

    def _stop_children(self) -> None:
        self._signal_children(signal.SIGTERM)
        deadline = time.monotonic() + self.stop_seconds
        while self.children and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.05)
        if self.children:
            logger.warning("%d worker processes did not end in %g s; killed", len(self.children), self.stop_seconds)
            self._signal_children(signal.SIGKILL)

    def _signal_children(self, signum: int) -> None:
        for pid in self.children:
            os.kill(pid, signum)


def _exit_text(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when the parent is gone, even by kill -9 (Linux; elsewhere nothing happens)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        raise SystemExit(1)
