"""Running one claimed task and saying how it ended. The only broad `except` of the project is here."""

import json
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from uuid import UUID

from django.db import connection as default_connection
from django.db import connections
from django_tasks import DEFAULT_TASK_BACKEND_ALIAS, TaskResult, task_backends

from queue_core import conf, lifecycle, registry
from queue_core.errors import Discard, RetryLater, Snooze, TaskCancelled, TaskTimeout
from queue_core.fingerprints import fingerprint
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.registry import TaskType
from queue_core.states import DeathReason, Outcome, TaskState

logger = logging.getLogger(__name__)

_UNKNOWN_TASK_SECONDS = 30.0
_ERROR_CHARS = 500
_TRACEBACK_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Context:
    """What a task is told about its run (the first argument of a task with `takes_context`)."""

    task_id: int
    attempt: int
    lease: UUID
    alarm: "Alarm" = field(repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked this task to end; looked up about once a second."""
        return self.alarm.cancelled

    def stop_if_cancelled(self) -> None:
        """End here, as cancelled, when somebody asked for it."""
        if self.cancelled:
            raise TaskCancelled

    @property
    def task_result(self) -> TaskResult[Any]:
        """As Django's Tasks API has it; read from the database."""
        return task_backends[DEFAULT_TASK_BACKEND_ALIAS].get_result(str(self.task_id))


class Alarm:
    """Ends the running task from outside: by TaskTimeout after so many seconds, or by TaskCancelled when told so.

    `armed` closes the race at the end of a task.
    """

    def __init__(self) -> None:
        self.armed = False
        self.task: Claimed | None = None
        # The tasks that were asked to end, and that are to be interrupted: named, so that a signal that comes late
        # never hits the next one.
        self.asked: Claimed | None = None
        self._interrupted: Claimed | None = None
        self._due = 0.0

    @property
    def cancelled(self) -> bool:
        return self.task is not None and self.asked is self.task

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        if not self.armed:
            return
        if self._interrupted is self.task:
            self.armed = False
            raise TaskCancelled
        if time.monotonic() >= self._due:
            self.armed = False
            raise TaskTimeout

    def install(self) -> None:
        signal.signal(signal.SIGALRM, self._ring)

    def set(self, seconds: float, task: Claimed) -> None:
        self.task = task
        self._due = time.monotonic() + seconds - 0.001
        self.armed = True
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def interrupt(self, task: Claimed) -> None:
        """From another thread: raise TaskCancelled in the task, if it still runs."""
        self._interrupted = task
        os.kill(os.getpid(), signal.SIGALRM)  # Python runs handlers in the main thread, where the task is

    def clear(self) -> None:
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)


def call(task_type: TaskType, task: Claimed, alarm: Alarm) -> Any:
    """Call the task's function with its stored arguments."""
    kwargs = json.loads(task.payload)
    args = kwargs.pop("*args", [])
    if task_type.takes_context:
        args = [Context(task.id, task.attempt, task.lease, alarm), *args]
    return task_type.call(*args, **kwargs)


def _shorten(text: str, limit: int) -> str:
    text = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def describe(exc: BaseException) -> tuple[str, str]:
    """(one line, traceback) of an error, bounded, and storable as text."""
    # What a task says about itself needs no class name in front.
    prefix = "" if isinstance(exc, RetryLater | Discard) else f"{type(exc).__name__}: "
    try:
        line = f"{prefix}{exc}".strip().removesuffix(":")
        trace = "".join(traceback.format_exception(exc))
    except Exception as broken:  # an exception whose own __str__ fails must not take the worker down
        line, trace = f"{type(exc).__name__} (its text could not be read: {type(broken).__name__})", ""
    return _shorten(line, _ERROR_CHARS), _shorten(trace, _TRACEBACK_CHARS)


def _result_text(value: Any) -> str | None:
    if value is None:
        return None
    return lifecycle.dump_json(value, max_bytes=conf.get("RESULT_MAX_BYTES"), what="the result")


def failed(task: Claimed, task_type: TaskType | None, exc: BaseException, started: float, finished: float) -> Ended:
    """How a failed attempt goes on: queued again after a delay while attempts are left, else failed."""
    error, trace = describe(exc)
    path = f"{type(exc).__module__}.{type(exc).__qualname__}"[:200]
    reason = DeathReason.DISCARDED if isinstance(exc, Discard) else DeathReason.ATTEMPTS
    failure = Failure(error, path, trace, fingerprint(task.name, path, error), reason)
    logger.warning("attempt %d of task %d (%s) failed: %s", task.attempt, task.id, task.name, error)
    ended = Ended(task, TaskState.FAILED, Outcome.FAILED, started, finished, failure=failure)
    failures = task.attempt - task.crashes
    if isinstance(exc, Discard) or failures >= task.max_attempts:
        return ended
    ended.state = TaskState.QUEUED
    if isinstance(exc, RetryLater):
        ended.delay = exc.seconds
    elif task_type is None:
        # An unknown task: probably a worker older than the web process, in the middle of a deployment.
        ended.delay = _UNKNOWN_TASK_SECONDS
    else:
        ended.delay = task_type.backoff.delay(failures)
    return ended


def _mend_connections(was_atomic: bool, *, suspicious: bool) -> None:
    """A connection the task left inside a transaction, or broken, must not reach the next task, nor the outcomes."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block != was_atomic or not (was_atomic or connection.autocommit):
            connection.close()
            connection.in_atomic_block = connection.closed_in_transaction = connection.needs_rollback = False
            connection.savepoint_ids = []
            connection.autocommit = True
            connection.connection = None
        elif suspicious and not was_atomic:
            connection.close_if_unusable_or_obsolete()


class Runner:
    """Runs tasks one after the other under their timeouts, and classifies each outcome, once."""

    def __init__(self, alarm: Alarm, stopping: Callable[[], bool] = lambda: False) -> None:
        self.alarm = alarm
        self.stopping = stopping
        self._was_atomic = default_connection.in_atomic_block

    def run(self, task: Claimed, clock: Callable[[], float]) -> Ended:
        """Run a task, and leave the connections as they were. See `_run`."""
        ended = self._run(task, clock)
        _mend_connections(self._was_atomic, suspicious=ended.state != TaskState.SUCCEEDED)
        return ended

    def _run(self, task: Claimed, clock: Callable[[], float]) -> Ended:
        """How the task ended. `clock` counts seconds since the claim. An unknown name is a failure like any other."""
        started = clock()
        task_type = None
        try:
            try:
                task_type = registry.resolve(task.name)
                self.alarm.set(task_type.timeout, task)
                result = _result_text(call(task_type, task, self.alarm))
            finally:
                self.alarm.clear()
        except Snooze as nap:
            return Ended(task, TaskState.QUEUED, None, started, clock(), nap.seconds)
        except (TaskTimeout, TaskCancelled) as end:
            for connection in connections.all(initialized_only=True):
                connection.close()  # the alarm may have come in the middle of a query
            if isinstance(end, TaskCancelled):
                return Ended(task, TaskState.CANCELLED, Outcome.CANCELLED, started, clock())
            timeout = TimeoutError(f"ran longer than its timeout of {task_type.timeout if task_type else 0:g} s")
            return failed(task, task_type, timeout, started, clock())
        except BaseException as exc:
            if isinstance(exc, SystemExit | KeyboardInterrupt) and self.stopping():
                raise  # this process is to end at once, not the task
            return failed(task, task_type, exc, started, clock())
        return Ended(task, TaskState.SUCCEEDED, Outcome.SUCCEEDED, started, clock(), result=result)


def acks_each(name: str) -> bool:
    """Whether this task's outcome must be durable before the next task starts."""
    known = registry.find(name)
    return known is not None and known.acks == "each"
