"""A burst right after the planner looked at an emptied table: statements over many tasks stay quick."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from queue_core import lifecycle, services
from queue_core.lifecycle import Ended, Line, Report
from queue_core.models import Task
from queue_core.states import Outcome, TaskState

LINE = "INSERT INTO tasks (name, queue) SELECT 'tests.noop', 'default' FROM generate_series(1, 50000)"
SIZE = 1_000


def took(verb: Callable[[], Any]) -> float:
    started = time.monotonic()
    assert verb()
    return time.monotonic() - started


@pytest.mark.django_db
def test_verbs_over_a_thousand_tasks_compare_them_with_no_others(worker_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"{LINE}; DELETE FROM tasks; ANALYZE tasks; {LINE}")
    claimed = lifecycle.claim(["default"], worker_id, SIZE)
    ended = [Ended(task, TaskState.SUCCEEDED, Outcome.SUCCEEDED, 0.0, 0.1) for task in claimed[: SIZE // 2]]
    ids = list(Task.objects.filter(state="queued").values_list("pk", flat=True)[:SIZE])
    lines = [Line(task.id, task.attempt, task.lease, 0.0, 20, "x", "said") for task in claimed]
    reports = [Report(task.id, task.attempt, task.lease, 1.0, None, "") for task in claimed]
    seconds = {
        "log": took(lambda: lifecycle.log(lines)),
        "report": took(lambda: lifecycle.report(reports)),
        "finish": took(lambda: lifecycle.finish(ended)),
        "release": took(lambda: lifecycle.release(claimed[SIZE // 2 :])),
        "claim": took(lambda: lifecycle.claim(["default"], worker_id, SIZE)),
        "release_unheld": took(lambda: lifecycle.release_unheld(worker_id, [], -1)),
        "cancel": took(lambda: lifecycle.cancel(ids)),
        "retry": took(lambda: lifecycle.retry(ids, by=None)),
        "edit": took(lambda: lifecycle.edit(ids, priority=3)),
        "claim_first": took(lambda: lifecycle.claim(["default"], worker_id, SIZE)),
    }
    assert max(seconds.values()) < 1, seconds


@pytest.mark.django_db
def test_a_thousand_tasks_that_waited_for_one_are_released_without_comparing_all_with_all() -> None:
    def submit() -> None:
        children = [{"key": f"m{n}", "name": "tests.noop", "depends_on": ["first"]} for n in range(5_000)]
        services.submit_workflow("wide", [{"key": "first", "name": "tests.noop"}, *children])

    submit()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM task_dependencies; DELETE FROM tasks; ANALYZE tasks, task_dependencies")
    submit()
    Task.objects.filter(step="first").update(state="succeeded", finished_at=Now())
    seconds = [took(lambda: lifecycle.settle(SIZE).rows) for _ in range(5)]
    assert max(seconds) < 1, seconds
    assert Task.objects.filter(state="queued").count() == 5_000


@pytest.mark.django_db
def test_a_claim_answers_in_order_of_priority(worker_id: int) -> None:
    rows = [Task(name="tests.noop", queue="default", priority=n % 7) for n in range(50)]
    Task.objects.bulk_create(rows)
    found = [task.id for task in lifecycle.claim(["default"], worker_id, 50)]
    assert found == list(Task.objects.order_by("-priority", "run_at", "pk").values_list("pk", flat=True))
