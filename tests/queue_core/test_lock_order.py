"""Statements over several rows lock them by id: whoever waits for one holds none behind it, so nobody deadlocks."""

import datetime
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from queue_core import lifecycle, services
from queue_core.lifecycle import Ended, Failure
from queue_core.models import Task, Workflow
from queue_core.states import Outcome, TaskState

pytestmark = pytest.mark.django_db(transaction=True)
Starter = Callable[[Callable[[], Any]], threading.Thread]


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def hammer(work: Callable[[], Any], deadline: float, errors: list[Exception]) -> None:
    try:
        while time.monotonic() < deadline:
            work()
    except Exception as exc:
        errors.append(exc)


def free_while_first_is_held(rows: Any, work: Callable[[], Any], in_thread: Starter) -> list[int]:
    """Ids that can be locked while `work` waits for the first of them."""
    with transaction.atomic():
        first = rows.order_by("pk").select_for_update()[:1].get()
        thread = in_thread(work)
        deadline = time.monotonic() + 10
        while not somebody_waits() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert somebody_waits()
        others = rows.exclude(pk=first.pk)
        free = list(others.select_for_update(skip_locked=True).values_list("pk", flat=True))
    thread.join(10)
    return free


@pytest.mark.parametrize("count", [3, 150])
def test_a_finish_that_waits_holds_no_later_row(count: int, worker_id: int, in_thread: Starter) -> None:
    services.submit_many([services.build("tests.noop", {}) for _ in range(count)])
    claimed = sorted(lifecycle.claim(["default"], worker_id, count), key=lambda task: -task.id)
    ended = [Ended(task, TaskState.SUCCEEDED, Outcome.SUCCEEDED, 0.001, 0.002) for task in claimed]
    free = free_while_first_is_held(Task.objects.all(), lambda: lifecycle.finish(ended), in_thread)
    assert len(free) == count - 1
    assert Task.objects.filter(state="succeeded").count() == count


@pytest.mark.parametrize("count", [3, 150])
def test_a_release_that_waits_holds_no_later_row(count: int, worker_id: int, in_thread: Starter) -> None:
    services.submit_many([services.build("tests.noop", {}, priority=n % 90) for n in range(count)])
    claimed = lifecycle.claim(["default"], worker_id, count)
    free = free_while_first_is_held(Task.objects.all(), lambda: lifecycle.release(claimed), in_thread)
    assert len(free) == count - 1
    assert Task.objects.filter(state="queued").count() == count


def test_verbs_that_hammer_the_same_tasks_never_deadlock(worker_id: int, in_thread: Starter) -> None:
    ids = services.submit_many([services.build("tests.noop", {}, priority=n % 90) for n in range(120)])

    def finish_and_release() -> None:
        claimed = lifecycle.claim(["default"], worker_id, 60)
        failure = Failure("no", fingerprint="f", reason="discarded")
        ended = [Ended(t, TaskState.FAILED, Outcome.FAILED, 0.001, 0.002, failure=failure) for t in claimed[::2]]
        lifecycle.finish(ended)
        lifecycle.release(claimed[1::2])

    priorities = itertools.cycle(range(90))

    verbs: list[Callable[[], Any]] = [
        finish_and_release,
        finish_and_release,
        lambda: lifecycle.cancel(ids),
        lambda: lifecycle.retry(ids[::-1], by=None),
        lambda: lifecycle.release_unheld(worker_id, [], -1),
        lambda: lifecycle.edit(ids, priority=next(priorities)),
        lambda: lifecycle.edit(ids[::-1], run_at=datetime.datetime.now(datetime.UTC)),
    ]
    errors: list[Exception] = []
    deadline = time.monotonic() + 2
    threads = [in_thread(lambda verb=verb: hammer(verb, deadline, errors)) for verb in verbs]  # type: ignore[misc]
    for thread in threads:
        thread.join(20)
    assert errors == []


@pytest.mark.parametrize("count", [3, 50])
def test_a_retry_over_workflows_that_waits_holds_no_later_one(count: int, in_thread: Starter) -> None:
    made = [services.submit_workflow("w", [{"name": "tests.noop"}]).pk for _ in range(count)]
    services.cancel_workflow(made)
    services.settle()
    steps = list(Task.objects.order_by("-pk").values_list("pk", flat=True))
    # The first workflow has the last step, so that the order of the steps is not that of the workflows.
    low, high = Task.objects.get(workflow=made[0]), Task.objects.get(workflow=made[-1])
    Task.objects.filter(pk=low.pk).update(workflow=made[-1], step="1")
    Task.objects.filter(pk=high.pk).update(workflow=made[0])
    free = free_while_first_is_held(Workflow.objects.all(), lambda: services.retry(steps), in_thread)
    assert len(free) == count - 1
    assert Workflow.objects.filter(state="running").count() == count
