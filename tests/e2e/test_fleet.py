"""Workers that are paused, drained, stopped and scaled while they run, as real processes."""

import os
import signal
import time

import pytest

from queue_core import services
from queue_core.models import Execution, Task, Worker, WorkerPool
from tests import tasks  # noqa: F401 - registers tests.*
from tests.e2e.conftest import Manage, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def alive() -> list[int]:
    return list(services.live_workers().values_list("pk", flat=True))


def running(pks: list[int]) -> int:
    return Task.objects.filter(pk__in=pks, state="running").count()


def ended(pks: list[int]) -> bool:
    return not Task.objects.filter(pk__in=pks).exclude(state="succeeded").exists()


def sleeps(number: int, seconds: float) -> list[int]:
    return services.submit_many([services.build("tests.sleep", {"seconds": seconds}) for _ in range(number)])


def heard(desire: str) -> bool:
    return not Worker.objects.filter(state="online").exclude(acknowledged=desire).exists()


def seconds_to_hear() -> list[float]:
    return [(w.acknowledged_at - w.desired_at).total_seconds() for w in Worker.objects.filter(desired_at__isnull=False)]


def test_busy_workers_pause_within_a_second_and_resume(manage: Manage) -> None:
    manage.start("worker", "--processes", "2")
    assert wait_until(lambda: len(alive()) == 2)
    pks = sleeps(400, 0.02)
    assert wait_until(lambda: Task.objects.filter(pk__in=pks, state="succeeded").count() > 20)
    services.pause_worker(alive())
    assert wait_until(lambda: heard("pause"), 5)
    assert max(seconds_to_hear()) < 1.2
    assert wait_until(lambda: running(pks) == 0, 2)
    done = Task.objects.filter(pk__in=pks, state="succeeded").count()
    assert done < 400
    time.sleep(1.0)
    assert Task.objects.filter(pk__in=pks, state="succeeded").count() == done
    assert len(alive()) == 2
    services.resume_worker(alive())
    assert wait_until(lambda: ended(pks), 30)
    assert Execution.objects.filter(task_id__in=pks).count() == 400


def test_a_paused_worker_leaves_the_work_and_its_bell_to_the_others(manage: Manage) -> None:
    manage.start("worker", "--processes", "2")
    assert wait_until(lambda: len(alive()) == 2)
    paused, other = alive()
    services.pause_worker([paused])
    assert wait_until(lambda: Worker.objects.get(pk=paused).acknowledged == "pause", 5)
    for _ in range(5):
        pk = services.submit("tests.noop").id
        assert wait_until(lambda pk=pk: ended([pk]), 3)
        assert Task.objects.get(pk=pk).worker_id == other


def test_a_stopped_worker_finishes_its_task_ends_and_is_not_replaced(manage: Manage) -> None:
    pool = manage.start("worker", "--processes", "2")
    assert wait_until(lambda: len(alive()) == 2)
    pks = sleeps(2, 2.0)
    assert wait_until(lambda: running(pks) == 2)
    leaver = alive()[0]
    services.stop_worker([leaver])
    assert wait_until(lambda: Worker.objects.get(pk=leaver).state == "stopped", 10)
    assert wait_until(lambda: ended(pks))
    time.sleep(1.5)
    assert len(alive()) == len(manage.children(pool)) == 1
    row = WorkerPool.objects.get()
    assert (row.wanted, row.running) == (1, 1)
    assert Execution.objects.filter(outcome="succeeded").count() == 2
    assert manage.stop(pool) == 0
    assert WorkerPool.objects.get().stopped_at is not None


def test_an_idle_worker_that_is_drained_ends(manage: Manage) -> None:
    pool = manage.start("worker", "--processes", "1")
    assert wait_until(lambda: len(alive()) == 1)
    time.sleep(0.5)
    services.drain_worker(alive())
    assert wait_until(lambda: not manage.children(pool), 10)
    pk = services.submit("tests.noop").id
    time.sleep(1.5)
    assert not alive()
    assert Task.objects.get(pk=pk).state == "queued"
    services.scale_pool(WorkerPool.objects.get().pk, 1)
    assert wait_until(lambda: ended([pk]), 10)


def test_a_pool_is_scaled_up_and_down_and_keeps_its_size_over_a_kill(manage: Manage) -> None:
    pool = manage.start("worker", "--processes", "1", QUICK_LEASE="1")
    assert wait_until(lambda: len(alive()) == 1)
    row = WorkerPool.objects.get()
    services.scale_pool(row.pk, 3)
    assert wait_until(lambda: len(alive()) == 3, 10)
    os.kill(manage.children(pool)[0], signal.SIGKILL)
    assert wait_until(lambda: len(manage.children(pool)) == 2, 3)
    assert wait_until(lambda: len(manage.children(pool)) == 3, 10)
    pks = sleeps(3, 1.5)
    assert wait_until(lambda: running(pks) == 3, 10)
    services.scale_pool(row.pk, 1)
    assert wait_until(lambda: len(manage.children(pool)) == 1, 15)
    assert wait_until(lambda: ended(pks))
    time.sleep(1.2)
    assert len(manage.children(pool)) == 1
    assert not Execution.objects.exclude(outcome="succeeded").exists()
    assert manage.stop(pool) == 0


def test_a_stop_that_was_asked_for_and_a_sigterm_in_the_same_task_interrupt_nothing(manage: Manage) -> None:
    pool = manage.start("worker", "--processes", "1")
    assert wait_until(lambda: len(alive()) == 1)
    pks = sleeps(1, 3.0)
    assert wait_until(lambda: running(pks) == 1)
    services.stop_worker(alive())
    assert wait_until(lambda: heard("stop"), 3)
    assert manage.stop(pool) == 0
    assert ended(pks)


def test_a_dead_worker_is_found_and_its_task_back_in_line_within_thirty_seconds(manage: Manage) -> None:
    """With the leases of production."""
    pool = manage.start("worker", "--processes", "1")
    manage.start("scheduler")
    pks = sleeps(1, 60.0)
    assert wait_until(lambda: running(pks) == 1)
    worker = alive()[0]
    os.kill(pool.pid, signal.SIGSTOP)  # the pool must not start another, which would tick
    started = time.monotonic()
    os.kill(manage.children(pool)[0], signal.SIGKILL)
    assert wait_until(lambda: Task.objects.get(pk=pks[0]).state == "queued", 32)
    assert time.monotonic() - started < 30
    assert Worker.objects.get(pk=worker).state == "lost"
    os.kill(pool.pid, signal.SIGKILL)
