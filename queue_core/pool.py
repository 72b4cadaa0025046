"""The parent of worker processes: imports the project once, forks, and replaces what ends."""

import ctypes
import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from django.db import Error, connections

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_BACKOFF_MAX = 30.0
_SETTLED_SECONDS = 10.0


class Pool:
    """Keeps `size` children running `serve` until SIGTERM or SIGINT; then each finishes its task and ends."""

    def __init__(self, serve: Callable[[], None], size: int, stop_seconds: float) -> None:
        self.serve = serve
        self.size = size
        self.stop_seconds = stop_seconds
        self.children: dict[int, float] = {}  # pid -> started at
        self.stopping = False
        self._failures = 0
        self._not_before = 0.0

    def run(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._request_stop)
        while not self.stopping:
            if len(self.children) < self.size and time.monotonic() >= self._not_before:
                self._fork()
                continue
            self._reap()
            time.sleep(0.1)
        self._stop_children()

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
            self.serve()
            status = 0
        except Error as exc:
            logger.error("PostgreSQL does not answer: %s", str(exc).strip().partition("\n")[0])
        except Exception:
            logger.exception("worker process ends")
        finally:
            os._exit(status)

    def _reap(self) -> None:
        for pid, started in list(self.children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self.children[pid]
            if os.waitstatus_to_exitcode(status) == 0:
                self._failures = 0
                continue
            lasted = time.monotonic() - started
            self._failures = 0 if lasted > _SETTLED_SECONDS else self._failures + 1
            wait = min(2.0 ** (self._failures - 1), _BACKOFF_MAX) if self._failures else 0.0
            self._not_before = time.monotonic() + wait
            code = os.waitstatus_to_exitcode(status)
            logger.warning("worker process %d ended (%s); the next one starts in %g s", pid, _exit_text(code), wait)

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
