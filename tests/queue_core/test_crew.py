"""Several tasks at once in one process: threads, and coroutines on one loop."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from queue_core import conf, lifecycle, services
from queue_core.drain import Station
from queue_core.models import Execution, Result, Task, Worker
from tests import waiting

Starter = Callable[[Callable[[], object]], threading.Thread]


@pytest.fixture
def crewed(transactional_db: None) -> Iterator[Station]:
    """A worker process's inside with four threads and fifty places for coroutines."""
    waiting.together.clear()
    made = Station(conf.queues(), threads=4, coroutines=50)
    made.open()
    yield made
    made.stop()
    made.close()
    left = [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("task-", "coroutines", "writer"))
    ]
    assert left == []
    assert not Worker.objects.filter(pk=made.keeper.worker_id, state="online").exists()


def submit(name: str, count: int, **payload: object) -> list[int]:
    return services.submit_many([services.build(f"tests.waiting.{name}", payload) for _ in range(count)])


def states(pks: list[int]) -> set[str]:
    return set(Task.objects.filter(pk__in=pks).values_list("state", flat=True))


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def cancel_when_running(pks: list[int]) -> None:
    assert wait_until(lambda: states(pks) == {"running"})
    services.cancel(pks)


def test_threads_run_as_many_tasks_at_once_as_there_are_threads(crewed: Station) -> None:
    pks = submit("sleep", 12, seconds=0.1)
    crewed.serve(10, burst=True)
    assert states(pks) == {"succeeded"}
    assert max(waiting.together) == 4
    assert set(Result.objects.values_list("value", flat=True)) == {"task-0", "task-1", "task-2", "task-3"}


def test_each_thread_has_a_connection_of_its_own(crewed: Station) -> None:
    pks = submit("query", 8)
    crewed.serve(10, burst=True)
    assert states(pks) == {"succeeded"}
    assert len(set(Result.objects.values_list("value", flat=True))) == 4


def test_threads_run_quick_tasks_in_large_batches_each_once(crewed: Station) -> None:
    pks = submit("sleep", 600, seconds=0.0)
    crewed.serve(20, burst=True)
    assert states(pks) == {"succeeded"}
    assert Execution.objects.filter(task_id__in=pks, attempt=1).count() == 600
    assert crewed.size > 20


def test_a_timeout_is_raised_in_the_thread_of_its_task_alone(crewed: Station) -> None:
    (pk,), others = submit("spin", 1), submit("sleep", 3, seconds=0.8)
    crewed.serve(10, burst=True)
    task = Task.objects.get(pk=pk)
    assert (task.state, task.error) == ("failed", "TimeoutError: ran longer than its timeout of 0.3 s")
    assert states(others) == {"succeeded"}


def test_a_task_in_a_thread_is_interrupted_when_it_is_cancelled(
    crewed: Station, settings: Settings, in_thread: Starter
) -> None:
    settings.QUEUE_GRACE_SECONDS = 0.3
    pks, others = submit("patient", 2), submit("sleep", 2, seconds=1.5)
    thread = in_thread(lambda: cancel_when_running(pks))
    crewed.serve(10, burst=True)
    thread.join(5)
    assert states(pks) == {"cancelled"}
    assert states(others) == {"succeeded"}


def test_a_late_asynchronous_exception_does_not_hit_the_next_task(crewed: Station) -> None:
    pks = [pk for _ in range(15) for pk in (*submit("spin", 1), *submit("sleep", 2, seconds=0.01))]
    crewed.serve(30, burst=True)
    assert states(pks[0::3]) == {"failed"}
    assert states(pks[1::3] + pks[2::3]) == {"succeeded"}


def test_stop_finishes_what_threads_and_coroutines_run_and_gives_back_the_rest(crewed: Station) -> None:
    pks, coroutines = submit("sleep", 8, seconds=1.5), submit("pause", 2, seconds=0.6)
    thread = threading.Thread(target=lambda: (wait_until(lambda: crewed.hand.busy() == 4), crewed.stop()))
    thread.start()
    crewed.serve(10)
    thread.join()
    crewed.close()
    found = sorted(Task.objects.filter(pk__in=pks).values_list("state", "attempt"))
    assert found == [("queued", 0)] * 4 + [("succeeded", 1)] * 4
    assert states(coroutines) <= {"succeeded", "queued"}
    assert not Execution.objects.exclude(outcome="succeeded").exists()


def test_slow_tasks_in_threads_hold_no_more_than_they_run(crewed: Station, in_thread: Starter) -> None:
    crewed.size = 40  # as after a run of quick tasks
    pks = submit("sleep", 10, seconds=1.0)
    seen: list[int] = []

    def look() -> None:
        time.sleep(0.7)
        seen.append(Task.objects.filter(pk__in=pks, state="running").count())

    thread = in_thread(look)
    crewed.serve(20, burst=True)
    thread.join()
    assert seen == [4]
    assert states(pks) == {"succeeded"}
    assert Execution.objects.filter(task_id__in=pks, attempt=1).count() == 10


def test_tasks_lost_before_run_one_at_a_time_beside_others(crewed: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queue_core.drain._SUSPECT_SECONDS", 0.1)
    pks = submit("sleep", 6, seconds=0.15)
    Task.objects.filter(pk__in=pks[:3]).update(crashes=1, attempt=1)
    most: list[int] = []
    taken = crewed.hand.next

    def spy(**options: bool) -> object:
        run = taken(**options)
        runs = crewed.hand.running()
        most.append(sum(1 for one in runs if one.task.crashes and crewed.hand.clock() - one.since < 0.1))
        return run

    monkeypatch.setattr(crewed.hand, "next", spy)
    crewed.serve(20, burst=True)
    assert states(pks) == {"succeeded"}
    assert max(most) == 1


@pytest.mark.parametrize("threads", [1, 4])
def test_coroutines_run_together_beside_functions(transactional_db: None, threads: int) -> None:
    waiting.together.clear()
    station = Station(conf.queues(), threads=threads, coroutines=50)
    station.size = 60
    station.open()
    pks, plain = submit("pause", 40, seconds=0.3), submit("sleep", 2, seconds=0.1)
    started = time.monotonic()
    station.serve(10, burst=True)
    took = time.monotonic() - started
    station.close()
    assert states(pks + plain) == {"succeeded"}
    assert took < 2
    assert max(waiting.together) > 30
    assert Result.objects.filter(task_id__in=pks, value="coroutines").count() == 40


def test_no_more_coroutines_run_than_there_are_places(transactional_db: None) -> None:
    waiting.together.clear()
    station = Station(conf.queues(), coroutines=5)
    station.open()
    pks = submit("pause", 60, seconds=0.02)
    station.serve(10, burst=True)
    station.close()
    assert states(pks) == {"succeeded"}
    assert max(waiting.together) == 5


def test_a_coroutine_ends_at_its_timeout(crewed: Station) -> None:
    (pk,), others = submit("late", 1), submit("pause", 3, seconds=0.5)
    crewed.serve(10, burst=True)
    assert Task.objects.get(pk=pk).error == "TimeoutError: ran longer than its timeout of 0.2 s"
    assert states(others) == {"succeeded"}


@pytest.mark.parametrize(("name", "grace"), [("pause", 0.3), ("polite", 30.0)])
def test_a_coroutine_ends_when_it_is_cancelled(
    crewed: Station, settings: Settings, in_thread: Starter, name: str, grace: float
) -> None:
    settings.QUEUE_GRACE_SECONDS = grace
    pks = submit(name, 1, **({"seconds": 60} if name == "pause" else {}))
    thread = in_thread(lambda: cancel_when_running(pks))
    crewed.serve(10, burst=True)
    thread.join(5)
    assert states(pks) == {"cancelled"}


def test_a_coroutine_that_cancels_itself_has_failed(crewed: Station) -> None:
    pk = services.submit("tests.cancel_itself", max_attempts=1).id
    crewed.serve(10, burst=True)
    assert Task.objects.get(pk=pk).error == "CancelledError"


def test_each_outcome_of_a_coroutine_is_durable_before_its_place_is_free(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = Station(conf.queues(), coroutines=1)
    unwritten: list[int] = []
    taken = station.hand.next

    def spy(**options: bool) -> object:
        if options.get("coroutine"):  # the main thread looks for functions at any time
            unwritten.append(station.hand.unwritten()[0])
        return taken(**options)

    monkeypatch.setattr(station.hand, "next", spy)
    station.size = 30
    station.open()
    pks = submit("each", 30)
    station.serve(10, burst=True)
    station.close()
    assert states(pks) == {"succeeded"}
    assert max(unwritten) == 0


def test_queries_of_coroutines_go_on_after_a_lost_connection(crewed: Station) -> None:
    services.submit("tests.waiting.cut", max_attempts=1)
    crewed.serve(10, burst=True)
    pks = submit("count", 3)
    crewed.serve(10, burst=True)
    assert states(pks) == {"succeeded"}


def test_what_a_coroutine_leaves_on_the_loop_does_not_hold_up_the_end(crewed: Station) -> None:
    pks = submit("stray", 1)
    crewed.serve(10, burst=True)
    started = time.monotonic()
    crewed.close()
    assert time.monotonic() - started < 2
    assert states(pks) == {"succeeded"}


def test_a_lost_database_holds_threads_until_their_outcomes_are_written(
    crewed: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    write, refused = lifecycle.finish, []

    def refuse(ended: list[lifecycle.Ended]) -> set[int]:
        if len(refused) < 2:
            refused.append(len(ended))
            raise OperationalError("away")
        return write(ended)

    monkeypatch.setattr(lifecycle, "finish", refuse)
    pks = submit("sleep", 8, seconds=0.1)
    crewed.serve(20, burst=True)
    assert states(pks) == {"succeeded"}
    assert len(refused) == 2


@pytest.mark.parametrize("option", ["--threads=0", "--threads=257", "--async=0", "--async=10001", "--threads=two"])
def test_the_worker_refuses_impossible_numbers(option: str) -> None:
    with pytest.raises(CommandError, match=r"must be from|invalid int value"):
        call_command("worker", option)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("queues", "told"),
    [("", "names none; leave it out to serve all"), (" , ", "names none"), ("default,no", "Unknown queues: no.")],
)
def test_a_list_of_queues_that_cannot_be_served_is_refused(queues: str, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("worker", "--queues", queues)
