"""Django's Tasks API, as an app that knows nothing of this project uses it."""

import datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone
from django_tasks import TaskResultStatus, default_task_backend, task
from django_tasks.exceptions import InvalidTaskError, TaskResultDoesNotExist

from queue_core.drain import Station
from queue_core.models import Task

pytestmark = pytest.mark.django_db(transaction=True)


@task
def multiply(a: int, b: int = 2) -> int:
    return a * b


@task(takes_context=True, priority=7, queue_name="high")
def told(context: object, word: str) -> list[object]:
    return [word, context.attempt, context.task_result.id]  # type: ignore[attr-defined]


@task
def broken() -> None:
    raise KeyError("gone")


def test_a_plain_task_runs_and_answers(station: Station) -> None:
    result = multiply.enqueue(3, b=5)
    assert (result.status, result.args, result.kwargs) == (TaskResultStatus.READY, [3], {"b": 5})
    station.serve(10, burst=True)
    result.refresh()
    assert (result.status, result.return_value, result.attempts) == (TaskResultStatus.SUCCESSFUL, 15, 1)
    assert multiply.get_result(result.id).return_value == 15


def test_a_coroutine_submits_and_looks_for_the_end(station: Station) -> None:
    async def ask() -> Any:
        return await multiply.aenqueue(4, b=5)

    async def look(result: Any) -> Any:
        await result.arefresh()
        return await multiply.aget_result(result.id)

    result = async_to_sync(ask)()
    assert result.status == TaskResultStatus.READY
    station.serve(10, burst=True)
    again = async_to_sync(look)(result)
    assert (result.status, result.return_value, again.return_value) == (TaskResultStatus.SUCCESSFUL, 20, 20)


def test_context_priority_and_queue_are_kept(station: Station) -> None:
    result = told.using(priority=9).enqueue("hello")
    row = Task.objects.get(pk=result.id)
    assert (row.queue, row.priority) == ("high", 9)
    station.serve(10, burst=True)
    result.refresh()
    assert result.return_value == ["hello", 1, result.id]


def test_a_failure_keeps_its_class_and_traceback(station: Station) -> None:
    result = broken.enqueue()
    Task.objects.filter(pk=result.id).update(max_attempts=1)
    station.serve(10, burst=True)
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is KeyError
    assert "gone" in result.errors[0].traceback


def test_run_after_waits() -> None:
    result = multiply.using(run_after=timezone.now() + datetime.timedelta(hours=1)).enqueue(1)
    assert Task.objects.get(pk=result.id).shown_state == "scheduled"


def test_what_cannot_run_is_refused() -> None:
    with pytest.raises(InvalidTaskError):
        multiply.using(queue_name="nowhere")
    with pytest.raises(InvalidTaskError):
        multiply.using(priority=1000)
    for unknown in ("0", "x", "99999999", "-1", "9" * 40, "9" * 5000):
        with pytest.raises(TaskResultDoesNotExist):
            default_task_backend.get_result(unknown)


def test_the_result_of_a_function_that_is_gone_from_the_code_cannot_be_read() -> None:
    result = multiply.enqueue(1)
    Task.objects.update(name="gone.away")
    with pytest.raises(TaskResultDoesNotExist):
        default_task_backend.get_result(result.id)
