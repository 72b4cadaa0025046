"""A task while it runs: what its runner, the keeper thread and the task itself share."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django_tasks import DEFAULT_TASK_BACKEND_ALIAS, TaskResult, task_backends

from queue_core.errors import TaskCancelled
from queue_core.execution.alarms import Alarm
from queue_core.lifecycle import Claimed


class Run:
    """One running attempt. Times are seconds of the hand's clock."""

    __slots__ = ("alarm", "asked_at", "coroutine", "since", "task", "timeout")

    def __init__(self, task: Claimed, since: float = 0.0, *, coroutine: bool = False) -> None:
        self.task = task
        self.since = since
        self.coroutine = coroutine
        # Set while the task's own code runs; None before and after.
        self.alarm: Alarm | None = None
        self.timeout = float("inf")
        # When somebody's request to end this attempt was noticed.
        self.asked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What a task is told about its run (the first argument of a task with `takes_context`)."""

    task_id: int
    attempt: int
    lease: UUID
    run: Run = field(repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked this task to end; looked up about once a second."""
        return self.run.asked_at is not None

    def stop_if_cancelled(self) -> None:
        """End here, as cancelled, when somebody asked for it."""
        if self.cancelled:
            raise TaskCancelled

    @property
    def task_result(self) -> TaskResult[Any]:
        """As Django's Tasks API has it; read from the database."""
        return task_backends[DEFAULT_TASK_BACKEND_ALIAS].get_result(str(self.task_id))
