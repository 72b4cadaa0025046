"""Worker processes as they run in production, and what happens when they are killed."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from queue_core import services
from queue_core.models import Execution, Task, Worker, Workflow
from tests import tasks, waiting  # noqa: F401 - registers tests.*
from tests.e2e.conftest import Manage, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def all_ended(pks: list[int]) -> bool:
    return not Task.objects.filter(pk__in=pks, state__in=["queued", "running", "blocked"]).exists()


def test_two_processes_run_everything_once_and_wake_at_once(manage: Manage) -> None:
    pks = services.submit_many([services.build("tests.noop", {"i": i}) for i in range(3_000)])
    pool = manage.start("worker", "--processes", "2")
    assert wait_until(lambda: all_ended(pks))
    assert Task.objects.filter(pk__in=pks, state="succeeded", attempt=1).count() == 3_000
    assert Execution.objects.filter(task_id__in=pks).count() == 3_000
    waits = []
    for _ in range(10):
        pk = services.submit("tests.noop").id
        assert wait_until(lambda pk=pk: all_ended([pk]), every=0.005)
        execution = Execution.objects.get(task_id=pk)
        waits.append((execution.started_at - Task.objects.get(pk=pk).created_at).total_seconds())
    # Woken by the bell: far sooner than any poll. (The figures are in the benchmark; this only tells bell from poll.)
    assert sorted(waits)[5] < 0.25
    assert manage.stop(pool) == 0
    assert set(Worker.objects.values_list("state", flat=True)) == {"stopped"}


def test_kill_9_of_workers_loses_nothing_and_finishes_nothing_twice(manage: Manage) -> None:
    pks = services.submit_many([services.build("tests.sleep", {"seconds": 0.01}) for _ in range(600)])
    pool = manage.start("worker", "--processes", "2", QUICK_LEASE="1")
    manage.start("scheduler", QUICK_LEASE="1")
    killed = 0
    while not all_ended(pks) and killed < 4:
        assert wait_until(lambda: len(manage.children(pool)) == 2, 20)
        time.sleep(0.7)
        for pid in manage.children(pool)[:1]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
    assert wait_until(lambda: all_ended(pks), 60)
    assert killed >= 2
    assert Task.objects.filter(pk__in=pks, state="succeeded").count() == 600
    finished = Execution.objects.filter(task_id__in=pks, outcome="succeeded")
    assert finished.count() == finished.values("task_id").distinct().count() == 600


def test_kill_9_in_the_middle_of_a_workflow_ends_it_with_every_step_done_once(manage: Manage) -> None:
    def step(key: str, *parents: str) -> dict[str, Any]:
        return {"key": key, "name": "tests.sleep", "payload": {"seconds": 0.01}, "depends_on": list(parents)}

    middle = [f"m{n}" for n in range(198)]
    workflow = services.submit_workflow(
        "fan", [step("first"), *(step(key, "first") for key in middle), step("last", *middle)]
    )
    steps = Task.objects.filter(workflow=workflow)
    pool = manage.start("worker", "--processes", "2", QUICK_LEASE="1")
    manage.start("scheduler", QUICK_LEASE="1")
    for least in (20, 100):
        assert wait_until(lambda least=least: steps.filter(state="succeeded").count() >= least)
        for pid in manage.children(pool)[:1]:
            os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not Workflow.objects.filter(pk=workflow.pk, state="running").exists())
    workflow.refresh_from_db()
    assert (workflow.state, workflow.done) == ("succeeded", 200)
    assert steps.filter(state="succeeded").count() == 200
    finished = Execution.objects.filter(task__workflow=workflow, outcome="succeeded")
    assert finished.count() == finished.values("task_id").distinct().count() == 200
    last = steps.get(step="last")
    assert last.started_at is not None
    assert not steps.exclude(pk=last.pk).filter(finished_at__gt=last.started_at).exists()


def test_a_task_that_kills_its_worker_ends_failed_and_takes_nobody_along(manage: Manage) -> None:
    poison = services.submit("tests.die").id
    others = [services.submit("tests.add", {"a": i, "b": 1}).id for i in range(20)]
    manage.start("worker", "--processes", "2", QUICK_LEASE="1")
    manage.start("scheduler", QUICK_LEASE="1")
    assert wait_until(lambda: all_ended([poison, *others]), 60)
    assert Task.objects.get(pk=poison).state == "failed"
    assert Execution.objects.filter(task_id=poison, outcome="lost").count() == 2
    assert Task.objects.filter(pk__in=others, state="succeeded").count() == 20


def test_a_task_deaf_to_its_timeout_is_killed_with_its_process(manage: Manage) -> None:
    deaf, other = services.submit("tests.deaf").id, services.submit("tests.noop").id
    manage.start("worker", "--processes", "1", QUICK_LEASE="1")
    assert wait_until(lambda: all_ended([deaf, other]), 30)
    task = Task.objects.get(pk=deaf)
    assert task.state == "failed"
    assert "ignored its timeout" in task.error
    assert Execution.objects.get(task_id=deaf).outcome == "failed"
    assert Task.objects.get(pk=other).state == "succeeded"


def test_flushing_valkey_stops_nothing(manage: Manage) -> None:
    manage.start("worker", "--processes", "1")
    manage.start("scheduler")
    first = services.submit("tests.noop").id
    assert wait_until(lambda: all_ended([first]))
    client = redis.Redis.from_url(settings.REDIS_URL)
    pks = services.submit_many([services.build("tests.sleep", {"seconds": 0.01}, queue="low") for _ in range(200)])
    client.flushall()
    assert wait_until(lambda: all_ended(pks), 20)
    client.flushall()
    again = services.submit_many([services.build("tests.noop", {}) for _ in range(50)])
    client.flushall()
    client.close()
    assert wait_until(lambda: all_ended(again), 20)


def test_sigterm_finishes_the_running_task_and_gives_back_the_rest(manage: Manage, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    pks = [services.submit("tests.sleep", {"seconds": 1.0, "begun": str(begun)}).id for _ in range(3)]
    pool = manage.start("worker", "--processes", "1")
    assert wait_until(begun.exists)
    assert manage.stop(pool) == 0
    states = sorted(Task.objects.filter(pk__in=pks).values_list("state", flat=True))
    assert states == ["queued", "queued", "succeeded"]
    assert not Execution.objects.exclude(outcome="succeeded").exists()


def test_a_worker_continued_after_its_lease_changes_nothing_it_lost(manage: Manage) -> None:
    pk = services.submit("tests.sleep", {"seconds": 2.0}).id
    pool = manage.start("worker", "--processes", "1", QUICK_LEASE="1")
    assert wait_until(lambda: Task.objects.filter(pk=pk, state="running").exists())
    (stopped,) = manage.children(pool)
    os.kill(stopped, signal.SIGSTOP)
    manage.start("worker", "--processes", "1", QUICK_LEASE="1")
    manage.start("scheduler", QUICK_LEASE="1")
    assert wait_until(lambda: Task.objects.filter(pk=pk, attempt=2).exists(), 30)
    os.kill(stopped, signal.SIGCONT)
    assert wait_until(lambda: all_ended([pk]), 30)
    time.sleep(2.5)  # the first attempt wakes up and ends, too late
    history = list(Execution.objects.filter(task_id=pk).order_by("attempt").values_list("attempt", "outcome"))
    assert history == [(1, "lost"), (2, "succeeded")]


@pytest.mark.parametrize("name", ["stuck", "stubborn", "blocking"])
def test_a_deaf_task_beside_others_ends_their_process_and_alone_fails(manage: Manage, name: str) -> None:
    deaf = services.submit(f"tests.waiting.{name}", priority=-1).id
    others = [services.submit("tests.waiting.sleep", {"seconds": 1.5}).id for _ in range(2)]
    others += [services.submit("tests.waiting.pause", {"seconds": 1.5}).id for _ in range(2)]
    pool = manage.start("worker", "--processes", "1", "--threads", "4", QUICK_LEASE="1")
    manage.start("scheduler", QUICK_LEASE="1")
    assert wait_until(lambda: all_ended([deaf, *others]), 60)
    assert "ignored its timeout" in Task.objects.get(pk=deaf).error
    assert list(Execution.objects.filter(task_id=deaf).values_list("outcome", flat=True)) == ["failed"]
    assert Task.objects.filter(pk__in=others, state="succeeded").count() == 4
    assert manage.stop(pool) == 0


def test_sigterm_finishes_the_tasks_of_all_threads(manage: Manage) -> None:
    pks = [services.submit("tests.waiting.sleep", {"seconds": 1.0}).id for _ in range(6)]
    pool = manage.start("worker", "--processes", "1", "--threads", "3")
    assert wait_until(lambda: Task.objects.filter(pk__in=pks, state="running").count() == 3)
    assert manage.stop(pool) == 0
    states = sorted(Task.objects.filter(pk__in=pks).values_list("state", flat=True))
    assert states == ["queued"] * 3 + ["succeeded"] * 3
