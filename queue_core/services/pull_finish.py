"""How a task that is run elsewhere ends: only for whom holds its lease, and by the same policies as every other."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from queue_core import conf, lifecycle, registry
from queue_core.errors import InvalidSubmission, QueueError
from queue_core.fingerprints import fingerprint
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.models import Task, Worker
from queue_core.registry import TaskType
from queue_core.services.pull_register import Heard, pull_beat
from queue_core.services.settle import settle_on_commit
from queue_core.states import DeathReason, Outcome, TaskState, WorkerKind

_ERROR_CHARS = 500
_TRACEBACK_CHARS = 20_000
_UNKNOWN_TASK_SECONDS = 30.0


class LeaseLost(QueueError):
    """The lease is not, or no more, the one that holds the task."""

    def __init__(self, task_id: int, lease: uuid.UUID) -> None:
        self.state = Task.objects.filter(pk=task_id).values_list("state", flat=True).first() or "forgotten"
        super().__init__(
            f"The lease {lease} does not hold task {task_id} (any more); the task is {self.state}. Drop this attempt."
        )


@dataclass(frozen=True, slots=True)
class PulledFailure:
    """What a worker says about a failed attempt. `delay` in seconds, in place of the backoff; `retry` False: never."""

    error: str
    error_class: str = ""
    traceback: str = ""
    retry: bool = True
    delay: float | None = None


def held_elsewhere() -> QuerySet[Task]:
    """Running tasks of workers that pull, with `held`, the time since the claim."""
    running = Task.objects.filter(state=TaskState.RUNNING, worker__kind=WorkerKind.PULL)
    return running.annotate(held=Now() - F("started_at"))


def find_held(task_id: int, lease: uuid.UUID) -> Any:
    """The task of `held_elsewhere` under that lease. Raises LeaseLost."""
    task = held_elsewhere().filter(pk=task_id, lease=lease).first()
    if task is None:
        raise LeaseLost(task_id, lease)
    return task


def claimed(task: Task) -> Claimed:
    return Claimed(
        *(task.pk, task.name, task.queue, "{}", task.attempt, task.max_attempts, task.crashes),
        lease=task.lease or uuid.UUID(int=0),
    )


def pull_task_beat(task_id: int, lease: uuid.UUID) -> Heard:
    """The worker of a task is alive; extends all its leases. Raises LeaseLost."""
    return pull_beat(find_held(task_id, lease).worker_id)


def pull_complete(task_id: int, lease: uuid.UUID, *, result: Any = None) -> None:
    """running -> succeeded, with its result. Raises LeaseLost, or InvalidSubmission for a result unfit to keep."""
    task = find_held(task_id, lease)
    try:
        text = (
            None
            if result is None
            else lifecycle.dump_json(result, max_bytes=conf.get("RESULT_MAX_BYTES"), what="the result")
        )
    except ValueError as exc:
        raise InvalidSubmission("result", str(exc)) from None
    held = task.held.total_seconds()
    _finish(task, Ended(claimed(task), TaskState.SUCCEEDED, Outcome.SUCCEEDED, 0.0, held, result=text))


def pull_fail(task_id: int, lease: uuid.UUID, failure: PulledFailure) -> str:
    """running -> queued after its backoff, or failed; cancelled when that was asked. Answers the state.

    Raises LeaseLost.
    """
    return end_failed(find_held(task_id, lease), failure)


def end_failed(task: Any, told: PulledFailure) -> str:
    """End the attempt of a task from `held_elsewhere`; answers its state then. Raises LeaseLost."""
    error, error_class = told.error[:_ERROR_CHARS], told.error_class[:200]
    mark = fingerprint(task.name, error_class, error)
    failures, held, known = task.attempt - task.crashes, task.held.total_seconds(), registry.find(task.name)
    delay = _delay(known, failures) if told.delay is None else told.delay
    reason = None
    if not told.retry:
        reason = DeathReason.DISCARDED
    elif failures >= task.max_attempts:
        reason = DeathReason.ATTEMPTS
    elif known and known.is_too_late((task.started_at - task.created_at).total_seconds() + held + delay):
        late = f" (not tried again: {known.why_late})"
        reason, error = DeathReason.LATE, error[: _ERROR_CHARS - len(late)] + late
    failure = Failure(error, error_class, told.traceback[:_TRACEBACK_CHARS], mark, reason or "")
    state = TaskState.FAILED if reason else TaskState.QUEUED
    _finish(task, Ended(claimed(task), state, Outcome.FAILED, 0.0, held, delay, failure))
    task.refresh_from_db(fields=["state"])
    return str(task.state)


def _delay(known: TaskType | None, failures: int) -> float:
    return known.backoff.delay(failures) if known else _UNKNOWN_TASK_SECONDS


def _finish(task: Any, ended: Ended) -> None:
    if not lifecycle.finish([ended]):
        raise LeaseLost(task.pk, task.lease)
    settle_on_commit()
    succeeded = ended.outcome == Outcome.SUCCEEDED
    Worker.objects.filter(pk=task.worker_id).update(
        finished_tasks=F("finished_tasks") + 1,
        succeeded_tasks=F("succeeded_tasks") + int(succeeded),
        failed_tasks=F("failed_tasks") + int(not succeeded),
    )
