"""A task while it runs: what its runner, the keeper thread and the task itself share."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django_tasks import DEFAULT_TASK_BACKEND_ALIAS, TaskResult, task_backends

from queue_core import origin
from queue_core.errors import TaskCancelled
from queue_core.execution.alarms import Alarm
from queue_core.execution.notes import Notes, log, report, running
from queue_core.lifecycle import Claimed


class Run:
    """One running attempt. Times are seconds of the hand's clock."""

    __slots__ = ("alarm", "asked_at", "coroutine", "is_stopping", "logged", "notes", "since", "task", "timeout")

    def __init__(
        self, task: Claimed, since: float = 0.0, *, coroutine: bool = False, notes: Notes | None = None
    ) -> None:
        self.task = task
        self.since = since
        self.coroutine = coroutine
        self.notes = notes or Notes()
        self.logged = 0
        # Whether its worker is to stop.
        self.is_stopping: Callable[[], bool] = lambda: False
        # Set while the task's own code runs; None before and after.
        self.alarm: Alarm | None = None
        self.timeout = float("inf")
        # When it was noticed that this attempt is to end: somebody asked for it, or its worker lost the lease.
        self.asked_at: float | None = None


class Surroundings:
    """What is logged and submitted inside is this task's. A class, as a generator costs a quick task twice as much."""

    __slots__ = ("_origin_token", "_run", "_run_token")

    def __init__(self, run: Run) -> None:
        self._run = run

    def __enter__(self) -> None:
        task = self._run.task
        here = origin.Origin.of_task(task.context, task_id=task.id, task=task.name, attempt=task.attempt)
        self._run_token, self._origin_token = running.set(self._run), origin.current.set(here)

    def __exit__(self, *_: object) -> None:
        running.reset(self._run_token)
        origin.current.reset(self._origin_token)


@dataclass(frozen=True, slots=True)
class Context:
    """What a task is told about its run (the first argument of a task with `takes_context`)."""

    task_id: int
    attempt: int
    lease: UUID
    run: Run = field(repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt is to end: somebody asked for it, or others run the task by now.

        Looked up about once a second.
        """
        return self.run.asked_at is not None

    @property
    def stopping(self) -> bool:
        """Whether the worker is to stop: a task that can go on later may end now, by Snooze.

        Not heard in a process of its own (`isolate`).
        """
        return self.run.is_stopping()

    def stop_if_cancelled(self) -> None:
        """End here when this attempt is to end."""
        if self.cancelled:
            raise TaskCancelled

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far this attempt is; shown within a second, with the time left. As often as you like."""
        report(self.run, done, total, note)

    def log(self, message: object, level: int = logging.INFO) -> None:
        """Write a line into the task's own log, whatever the level of the process's is."""
        log(self.run, message, level, "context")

    @property
    def task_result(self) -> TaskResult[Any]:
        """As Django's Tasks API has it; read from the database."""
        return task_backends[DEFAULT_TASK_BACKEND_ALIAS].get_result(str(self.task_id))
