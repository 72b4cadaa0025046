"""Runs a task in a forked child of this process: whatever it does to its process ends this attempt alone.

The child inherits the warm process (nothing is imported again), opens its own connections when it needs them, and says
over a pipe what the task logs and reports, and how it ended.
"""

import ctypes
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from django.db import connections

from queue_core import conf, registry
from queue_core.execution.alarms import SignalAlarm
from queue_core.execution.notes import Notes
from queue_core.execution.outcomes import ProcessDied, ended_by
from queue_core.execution.run import Run
from queue_core.execution.runner import Runner
from queue_core.lifecycle import Ended, Line, Report

_ASKED, _CANCEL = signal.SIGUSR1, signal.SIGUSR2
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
# A pipe whose other end were inherited by the child of another thread would not tell that its own child is gone.
_forking = threading.Lock()
# The parent's connections, in the child: never used, and never closed, which would end them for the parent.
_inherited: list[Any] = []


@dataclass(frozen=True, slots=True)
class Isolation:
    """`memory_mib`: how much more memory a task may take than its worker has; None for as much as there is."""

    memory_mib: int | None = None


def isolates(name: str) -> bool:
    """Whether tasks of this name run in a child wherever they run."""
    known = registry.find(name)
    return known is not None and known.isolate


class ChildAlarm:
    """For a task in a child, which times out by itself; it is asked to end, and killed, by signals."""

    def __init__(self, pid: int) -> None:
        # How the task ended, when it was killed for it.
        self.verdict: Ended | None = None
        self._pid = pid
        self._status: int | None = None
        self._is_asked = False
        self._lock = threading.Lock()

    def arm(self, run: Run, seconds: float) -> None:
        pass

    def disarm(self) -> None:
        pass

    def expire(self, run: Run) -> None:
        pass

    def ask(self) -> None:
        """Let the task know, once, that somebody asked it to end."""
        if not self._is_asked:
            self._is_asked = True
            self._send(_ASKED)

    def cancel(self, run: Run) -> None:
        self._send(_CANCEL)

    def kill(self, ended: Ended) -> bool:
        self.verdict = ended
        self._send(signal.SIGKILL)
        return True

    def is_at_work(self, run: Run) -> bool:
        return True

    def status(self, *, wait: bool = False) -> int | None:
        """The exit code, or minus the signal, of the child; None while it lives."""
        while self._status is None:
            with self._lock:  # the number of a child that was reaped may be another process's
                pid, status = os.waitpid(self._pid, os.WNOHANG)
                self._status = os.waitstatus_to_exitcode(status) if pid else None
            if self._status is not None or not wait:
                break
            threading.Event().wait(0.001)
        return self._status

    def _send(self, number: signal.Signals) -> None:
        with self._lock:
            if self._status is None:
                os.kill(self._pid, number)


class Isolated:
    """Runs tasks, each in a child of its own; as a Runner does, and from any thread."""

    def __init__(self, clock: Callable[[], float], isolation: Isolation) -> None:
        self.clock = clock
        self.isolation = isolation

    def run(self, run: Run) -> Ended:
        """How the task ended. A child that dies costs the attempt, with the signal or exit code as its error."""
        started = self.clock() - run.task.claimed_at
        pid, said = self._fork(run)
        alarm, known = ChildAlarm(pid), registry.find(run.task.name)
        run.timeout, run.alarm = known.timeout if known else conf.get("TIMEOUT_SECONDS"), alarm
        try:
            ended = _listen(run, said, alarm)
        finally:
            run.alarm = None
            said.close()
        if ended is None:
            died = ProcessDied(_how(alarm.status(wait=True) or 0))
            finished = self.clock() - run.task.claimed_at
            return alarm.verdict or ended_by(died, run.task, known, started, finished)
        alarm.status(wait=True)
        ended.task = run.task
        return ended

    def _fork(self, run: Run) -> tuple[int, Connection]:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what waits there would be written twice
        with _forking:
            said, tell = Pipe(duplex=False)
            # Until the child has handlers for these, they wait.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {_ASKED, _CANCEL})
            parent = os.getpid()
            pid = os.fork()
            if not pid:
                self._serve(run, tell, parent)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            tell.close()
        return pid, said

    def _serve(self, run: Run, tell: Connection, parent: int) -> NoReturn:
        """The child."""
        try:
            _die_with(parent)
            _forget_connections()
            alarm, notes = SignalAlarm(), _PipeNotes(tell)
            own = Run(run.task, run.since, notes=notes)
            _listen_to_signals(own, alarm, self.clock)
            if self.isolation.memory_mib is not None:
                _limit_memory(self.isolation.memory_mib)
            notes.send(Runner(alarm, self.clock).run(own))
            connections.close_all()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(0)


class _PipeNotes(Notes):
    """In the child: each line and report goes to the parent, which writes it."""

    def __init__(self, tell: Connection) -> None:
        super().__init__()
        self._tell = tell

    def add(self, line: Line) -> None:
        self.send(line)

    def report(self, report: Report) -> None:
        self.send(report)

    def send(self, said: Line | Report | Ended) -> None:
        with self._lock:
            self._tell.send(said)


def _listen(run: Run, said: Connection, alarm: ChildAlarm) -> Ended | None:
    """Take down what the child says until the task has ended; None when the child ended without a word about that."""
    while True:
        if run.asked_at is not None:
            alarm.ask()
        if not said.poll(_POLL_SECONDS):
            # Processes that the task started may hold the pipe open after its end.
            if alarm.status() is not None and not said.poll():
                return None
            continue
        try:
            heard = said.recv()
        except (EOFError, OSError):
            return None
        if isinstance(heard, Ended):
            return heard
        if isinstance(heard, Line):
            run.notes.add(heard)
        else:
            run.notes.report(heard)


def _how(status: int) -> str:
    if status >= 0:
        return f"ended its process with exit code {status}"
    hint = " (probably out of memory)" if status == -signal.SIGKILL else ""
    return f"its process was killed by {signal.Signals(-status).name}{hint}"


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is gone (Linux; elsewhere it runs on, and is not heard)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(1)


def _forget_connections() -> None:
    for connection in connections.all(initialized_only=True):
        _inherited.append(connection.connection)
        connection.connection = None
        connection.in_atomic_block = connection.closed_in_transaction = connection.needs_rollback = False
        connection.savepoint_ids, connection.run_on_commit = [], []


def _listen_to_signals(run: Run, alarm: SignalAlarm, clock: Callable[[], float]) -> None:
    def ask(*_: Any) -> None:
        run.asked_at = clock()

    alarm.install()
    signal.signal(_ASKED, ask)
    signal.signal(_CANCEL, lambda *_: alarm.cancel(run))
    for name in (signal.SIGTERM, signal.SIGINT):
        # Sent to all processes of a service at once; the worker waits for what runs. Not SIG_IGN, which would reach
        # the programs that a task starts.
        signal.signal(name, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {_ASKED, _CANCEL})


def _limit_memory(mib: int) -> None:
    """Allocations beyond that raise MemoryError in the task."""
    statm = Path("/proc/self/statm")
    has = int(statm.read_text().split()[5]) * resource.getpagesize() if statm.exists() else 0
    most = has + mib * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
