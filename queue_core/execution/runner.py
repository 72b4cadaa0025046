"""Runs functions one after the other in the thread it is made in."""

from collections.abc import Callable
from typing import Any

from django.db import connection as default_connection
from django.db import connections

from queue_core import registry
from queue_core.errors import TaskCancelled, TaskTimeout
from queue_core.execution.alarms import Alarm
from queue_core.execution.outcomes import ended_by, is_late, result_text, too_late
from queue_core.execution.run import Context, Run, Surroundings
from queue_core.lifecycle import Ended
from queue_core.registry import TaskType
from queue_core.services.step_payload import step_payload
from queue_core.states import Outcome, TaskState


def acks_each(name: str) -> bool:
    """Whether this task's outcome must be durable before the next task starts."""
    known = registry.find(name)
    return known is not None and known.acks == "each"


def is_async(name: str) -> bool:
    """Whether this task runs on the event loop: an `async def` that is not isolated.

    One whose module is not imported yet counts as a function.
    """
    known = registry.find(name)
    return known is not None and known.is_coroutine and not known.isolate


def arguments(task_type: TaskType, run: Run) -> tuple[list[Any], dict[str, Any]]:
    """The stored arguments of the task, and its context."""
    task = run.task
    kwargs = step_payload(task.name, task.payload, task.workflow_id)
    args = kwargs.pop("*args", [])
    if task_type.takes_context:
        args = [Context(task.id, task.attempt, task.lease, run), *args]
    return args, kwargs


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
    """Runs tasks one after the other under their timeouts. `clock` is the hand's."""

    def __init__(self, alarm: Alarm, clock: Callable[[], float], stopping: Callable[[], bool] = lambda: False) -> None:
        self.alarm = alarm
        self.clock = clock
        self.stopping = stopping
        # Inside the transaction of a test, which goes on: see testing.py.
        self._was_atomic = default_connection.in_atomic_block

    def run(self, run: Run) -> Ended:
        """Run a task, and leave the connections as they were. See `_run`."""
        with Surroundings(run):
            ended = self._run(run)
        _mend_connections(self._was_atomic, suspicious=ended.state != TaskState.SUCCEEDED)
        return ended

    def _run(self, run: Run) -> Ended:
        """How the task ended. An unknown name is a failure like any other."""
        task = run.task
        started = self.clock() - task.claimed_at
        task_type = None
        try:
            try:
                task_type = registry.resolve(task.name)
                if is_late(task, task_type, started):
                    raise too_late(task, task_type)
                args, kwargs = arguments(task_type, run)
                run.timeout, run.alarm = task_type.timeout, self.alarm
                self.alarm.arm(run, task_type.timeout)
                call = task_type.call if task_type.is_coroutine else task_type.func
                result = result_text(call(*args, **kwargs))
            finally:
                self.alarm.disarm()
                run.alarm = None
        except BaseException as exc:
            if isinstance(exc, SystemExit | KeyboardInterrupt) and self.stopping():
                raise  # this process is to end at once, not the task
            if isinstance(exc, TaskTimeout | TaskCancelled) and not self._was_atomic:
                for connection in connections.all(initialized_only=True):
                    connection.close()  # the alarm may have come in the middle of a query
            return ended_by(exc, task, task_type, started, self.clock() - task.claimed_at)
        finished = self.clock() - task.claimed_at
        return Ended(task, TaskState.SUCCEEDED, Outcome.SUCCEEDED, started, finished, result=result)
