"""Runs one `async def` task on the running event loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections

from queue_core import registry
from queue_core.execution.alarms import CoroutineAlarm
from queue_core.execution.outcomes import ended_by, is_late, result_text, too_late
from queue_core.execution.run import Run, Surroundings
from queue_core.execution.runner import arguments
from queue_core.lifecycle import Ended
from queue_core.registry import TaskType
from queue_core.services.step_payload import uses_results
from queue_core.states import Outcome, TaskState

_CLOSE_SECONDS = 5.0


async def _arguments(task_type: TaskType, run: Run) -> tuple[list[Any], dict[str, Any]]:
    """Results of earlier steps are read in a thread: the loop must not wait for the database."""
    if uses_results(run.task.payload, run.task.workflow_id):
        return await sync_to_async(arguments)(task_type, run)
    return arguments(task_type, run)


async def run_coroutine(run: Run, clock: Callable[[], float]) -> Ended:
    """How the task ended. Its timeout and a request to end it arrive in it as CancelledError."""
    with Surroundings(run):
        return await _run(run, clock)


async def _run(run: Run, clock: Callable[[], float]) -> Ended:
    task = run.task
    started = clock() - task.claimed_at
    alarm, task_type = CoroutineAlarm(), None
    try:
        try:
            task_type = registry.resolve(task.name)
            if is_late(task, task_type, started):
                raise await sync_to_async(too_late)(task, task_type)
            args, kwargs = await _arguments(task_type, run)
            run.timeout, run.alarm = task_type.timeout, alarm
            alarm.arm(run, task_type.timeout)
            result = result_text(await task_type.func(*args, **kwargs))
        finally:
            alarm.disarm()
            run.alarm = None
    except BaseException as exc:
        _mend_shared_connections()
        # Cancelled for our reason, however the task dressed the error up on its way out.
        why = alarm.raised() if alarm.raised and isinstance(exc, asyncio.CancelledError) else exc
        return ended_by(why, task, task_type, started, clock() - task.claimed_at)
    return Ended(task, TaskState.SUCCEEDED, Outcome.SUCCEEDED, started, clock() - task.claimed_at, result=result)


def close_shared_connections() -> None:
    """When no coroutine runs any more."""
    with suppress(TimeoutError):  # a query that never ends keeps its connection
        SyncToAsync.single_thread_executor.submit(connections.close_all).result(_CLOSE_SECONDS)


def _mend_shared_connections() -> None:
    """All coroutines share the thread in which Django runs their queries, and its connections: replace broken ones."""
    SyncToAsync.single_thread_executor.submit(_close_unusable)


def _close_unusable() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
