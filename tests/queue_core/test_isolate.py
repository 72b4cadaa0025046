"""Tasks in processes of their own: whatever one does to its process costs that attempt alone."""

import os
import threading
from collections.abc import Callable, Iterator

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from queue_core import conf, services
from queue_core.drain import Station
from queue_core.execution import Isolation
from queue_core.models import Execution, LogLine, Result, Task, Worker
from tests import isolation
from tests.queue_core.test_crew import cancel_when_running

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
Starter = Callable[[Callable[[], object]], threading.Thread]


@pytest.fixture
def isolated(transactional_db: None) -> Iterator[Station]:
    made = Station(conf.queues(), isolation=Isolation(memory_mib=256))
    made.open()
    yield made
    made.close()
    assert not Worker.objects.filter(pk=made.keeper.worker_id, state="online").exists()


def submit(name: str, **payload: object) -> int:
    return services.submit(f"tests.isolation.{name}", payload, max_attempts=1).id


def result(pk: int) -> object:
    return Result.objects.get(task_id=pk).value


@pytest.mark.parametrize("name", ["pid", "pid_async"])
def test_each_task_has_a_process_and_connections_of_its_own(name: str, isolated: Station) -> None:
    pks = [submit(name), submit(name)]
    isolated.serve(10, burst=True)
    (first, here), (second, there) = map(result, pks)  # type: ignore[misc]
    assert len({first, second, os.getpid()}) == 3
    assert here != there
    assert Task.objects.filter(state="succeeded").count() == 2


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("segfault", "its process was killed by SIGSEGV"),
        ("kill", "its process was killed by SIGKILL (probably out of memory)"),
        ("exit", "ended its process with exit code 3"),
        ("memory", "MemoryError"),
    ],
)
def test_a_process_that_dies_costs_its_attempt_alone(how: str, told: str, isolated: Station) -> None:
    before, pk, after = submit("pid"), submit("die", how=how), submit("pid")
    isolated.serve(10, burst=True)
    states = dict(Task.objects.values_list("pk", "state"))
    assert states == {before: "succeeded", pk: "failed", after: "succeeded"}
    attempt = Execution.objects.get(task_id=pk)
    assert (attempt.outcome, attempt.error) == ("failed", told)


def test_a_death_is_tried_again_whatever_retry_on_says(isolated: Station) -> None:
    pk = services.submit("tests.isolation.picky_death").id
    isolated.serve(10, burst=True)
    assert (Task.objects.get(pk=pk).state, Execution.objects.count()) == ("queued", 1)


def test_logs_and_progress_come_from_the_child(isolated: Station) -> None:
    pk = submit("talk")
    isolated.serve(10, burst=True)
    assert list(LogLine.objects.filter(task_id=pk).order_by("id").values_list("message", flat=True)) == ["one", "two"]
    assert Task.objects.get(pk=pk).state == "succeeded"


def test_a_deaf_task_is_killed_alone_at_its_timeout(isolated: Station, settings: Settings) -> None:
    settings.QUEUE_GRACE_SECONDS = 0.2
    pk, after = services.submit("tests.deaf").id, submit("pid")
    isolated.serve(10, burst=True)
    assert (Task.objects.get(pk=pk).state, Task.objects.get(pk=after).state) == ("failed", "succeeded")
    assert "process killed" in Execution.objects.get(task_id=pk).error


@pytest.mark.parametrize("name", ["tests.polite", "tests.sleep", "tests.isolation.deaf"])
def test_a_running_child_ends_when_it_is_cancelled(
    name: str, isolated: Station, settings: Settings, in_thread: Starter
) -> None:
    settings.QUEUE_GRACE_SECONDS = 0.3
    pk = services.submit(name, {} if name.endswith("deaf") else {"seconds": 30}).id
    thread = in_thread(lambda: cancel_when_running([pk]))
    isolated.serve(10, burst=True)
    thread.join()
    assert (Task.objects.get(pk=pk).state, Execution.objects.get(task_id=pk).outcome) == ("cancelled", "cancelled")


def test_a_task_may_ask_for_a_process_by_itself(station: Station) -> None:
    alone, here = submit("alone"), submit("pid")
    station.serve(10, burst=True)
    assert result(alone) != os.getpid()
    assert result(here)[0] == os.getpid()  # type: ignore[index]


def test_threads_each_have_a_child(transactional_db: None) -> None:
    made = Station(conf.queues(), threads=3, isolation=Isolation())
    made.open()
    pks = [submit("pid") for _ in range(6)]
    dead = submit("die", how="exit")
    made.serve(10, burst=True)
    made.stop()
    made.close()
    assert len({result(pk)[0] for pk in pks}) == 6  # type: ignore[index]
    assert Task.objects.get(pk=dead).state == "failed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--memory-mib", "100"], "takes --isolate"),
        (["--isolate", "--memory-mib", "0"], "from 16"),
        (["--isolate", "--memory-mib", "9" * 30], "from 16"),
        (["--isolate", "--memory-mib", "x"], "invalid int"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("worker", *words)


def test_the_tasks_of_this_module_are_registered() -> None:
    assert isolation.alone.isolate
