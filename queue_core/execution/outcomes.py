"""How an attempt ended: the classification of what a task returned or raised, once."""

import logging
import traceback
from typing import Any

from queue_core import conf, lifecycle
from queue_core.errors import Discard, RetryLater, Snooze, TaskCancelled, TaskTimeout
from queue_core.fingerprints import fingerprint
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.registry import TaskType
from queue_core.services.last_error import last_error
from queue_core.states import DeathReason, Outcome, TaskState
from queue_core.texts import shorten

logger = logging.getLogger(__name__)

_UNKNOWN_TASK_SECONDS = 30.0
_ERROR_CHARS = 500
_TRACEBACK_CHARS = 20_000


def describe(exc: BaseException) -> tuple[str, str]:
    """(one line, traceback) of an error, bounded, and storable as text."""
    # What a task says about itself needs no class name in front.
    prefix = "" if isinstance(exc, RetryLater | Discard | TooLate | ProcessDied) else f"{type(exc).__name__}: "
    try:
        line = f"{prefix}{exc}".strip().removesuffix(":")
        trace = "".join(traceback.format_exception(exc))
    except Exception as broken:  # an exception whose own __str__ fails must not take the worker down
        line, trace = f"{type(exc).__name__} (its text could not be read: {type(broken).__name__})", ""
    return shorten(line, _ERROR_CHARS), shorten(trace, _TRACEBACK_CHARS)


def result_text(value: Any) -> str | None:
    """What a task returned, as JSON. Raises Discard when it cannot be kept: the work is done, and would be repeated."""
    if value is None:
        return None
    try:
        return lifecycle.dump_json(value, max_bytes=conf.get("RESULT_MAX_BYTES"), what="the result")
    except ValueError as exc:
        raise Discard(f"{exc} (the work is done, so it is not tried again)") from None


class ProcessDied(Exception):
    """The process that ran an isolated task ended without saying how the task did. Tried again, whatever `retry_on`."""


class TooLate(Exception):
    """An attempt would begin later than its task type allows. `before`: (error, its class) of the attempt before."""

    def __init__(self, why: str, before: tuple[str, str] | None) -> None:
        self.before = before
        super().__init__(f"not started: {why}")


def is_late(task: Claimed, task_type: TaskType, started: float) -> bool:
    """What was only due after that time, by a delay or because somebody retried it, runs once more."""
    return task_type.is_too_late(task.age + started, task.due_age)


def too_late(task: Claimed, task_type: TaskType) -> TooLate:
    """Reads the database."""
    return TooLate(task_type.why_late, last_error(task.id))


def _what_next(
    task: Claimed, task_type: TaskType | None, exc: BaseException, finished: float
) -> tuple[float, DeathReason | None]:
    """(seconds until the next attempt, why there is none)."""
    failures = task.attempt - task.crashes
    if isinstance(exc, TooLate):
        return 0.0, DeathReason.LATE
    if isinstance(exc, Discard) or not _may_be_retried(task_type, exc):
        return 0.0, DeathReason.DISCARDED
    if failures >= task.max_attempts:
        return 0.0, DeathReason.ATTEMPTS
    if isinstance(exc, RetryLater):
        delay = exc.seconds
    elif task_type is None:
        # An unknown task: probably a worker older than the web process, in the middle of a deployment.
        delay = _UNKNOWN_TASK_SECONDS
    else:
        delay = task_type.backoff.delay(failures)
    is_late = task_type is not None and task_type.is_too_late(task.age + finished + delay)
    return delay, DeathReason.LATE if is_late else None


def _may_be_retried(task_type: TaskType | None, exc: BaseException) -> bool:
    return isinstance(exc, RetryLater | ProcessDied) or task_type is None or task_type.retry_rules.allow(exc)


def _late_note(exc: BaseException, task_type: TaskType) -> str:
    """What the error of a task ends in that came too late."""
    if isinstance(exc, TooLate):
        return f" (not started again: {task_type.why_late})" if exc.before else ""
    return f" (not tried again: {task_type.why_late})"


def failed(task: Claimed, task_type: TaskType | None, exc: BaseException, started: float, finished: float) -> Ended:
    """How a failed attempt goes on: queued again after a delay while it may be tried again, else failed."""
    error, trace = describe(exc)
    path = f"{type(exc).__module__}.{type(exc).__qualname__}"[:200]
    if isinstance(exc, TooLate) and exc.before:
        # The cause is what the attempt before failed of: all that were late for it fall into one group.
        error, path = exc.before
    mark = fingerprint(task.name, path, error)
    delay, reason = _what_next(task, task_type, exc, finished)
    if reason == DeathReason.LATE and task_type is not None:
        late = _late_note(exc, task_type)
        error = shorten(error, _ERROR_CHARS - len(late)) + late
    logger.warning("attempt %d of task %d (%s) failed: %s", task.attempt, task.id, task.name, error)
    return Ended(
        task,
        TaskState.FAILED if reason else TaskState.QUEUED,
        Outcome.FAILED,
        started,
        finished,
        delay,
        Failure(error, path, trace, mark, reason or ""),
    )


def ended_by(exc: BaseException, task: Claimed, task_type: TaskType | None, started: float, finished: float) -> Ended:
    """How an attempt ended whose code raised `exc`."""
    if isinstance(exc, Snooze):
        return Ended(task, TaskState.QUEUED, None, started, finished, exc.seconds)
    if isinstance(exc, TaskCancelled):
        return Ended(task, TaskState.CANCELLED, Outcome.CANCELLED, started, finished)
    if isinstance(exc, TaskTimeout):
        exc = TimeoutError(f"ran longer than its timeout of {task_type.timeout if task_type else 0:g} s")
    return failed(task, task_type, exc, started, finished)
