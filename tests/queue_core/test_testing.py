"""The test kit, used as an app would: inside a transaction, without workers and Valkey."""

import datetime
import signal
import time
from collections.abc import Callable

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from queue_core import registry, services
from queue_core.models import LogLine, Progress, Queue, ScheduleFire, Task
from queue_core.testing import advance, assert_submitted, drain, frozen
from tests import telling  # noqa: F401 - registers tests.telling.*

pytestmark = pytest.mark.django_db


def test_drain_runs_what_is_due_and_answers_the_tasks() -> None:
    services.submit("tests.add", {"a": 1, "b": 2})
    services.submit("tests.discard", queue="low")
    services.submit("tests.noop", delay=60)
    before = signal.getsignal(signal.SIGALRM)
    assert [(task.name, task.state) for task in drain()] == [("tests.add", "succeeded"), ("tests.discard", "failed")]
    assert signal.getsignal(signal.SIGALRM) == before
    assert drain() == []


def sleep_in_a_query() -> None:
    Queue.objects.create(name="written")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")


def sleep_in_a_block() -> None:
    Queue.objects.create(name="written")
    with transaction.atomic():
        Queue.objects.create(name="undone")
        time.sleep(60)


def break_the_transaction() -> None:
    Queue.objects.create(name="written")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


def leave_a_block_open() -> None:
    Queue.objects.create(name="written")
    transaction.atomic().__enter__()


@pytest.mark.parametrize(
    ("work", "error", "written"),
    [
        (None, "TimeoutError: ran longer than its timeout of 0.2 s", []),
        (sleep_in_a_query, "TimeoutError: ran longer than its timeout of 0.2 s", []),
        (sleep_in_a_block, "TimeoutError: ran longer than its timeout of 0.2 s", ["written"]),
        (break_the_transaction, "DataError: division by zero", []),
        (leave_a_block_open, "", []),
    ],
)
def test_a_task_that_is_interrupted_or_breaks_the_transaction_leaves_the_test_whole(
    work: Callable[[], None] | None, error: str, written: list[str]
) -> None:
    slow = registry.get("tests.slow")
    before = slow.func
    services.submit("tests.slow")
    services.submit("tests.noop")
    object.__setattr__(slow, "func", work or before)
    try:
        assert [(task.name, task.error) for task in drain()] == [("tests.slow", error), ("tests.noop", "")]
    finally:
        object.__setattr__(slow, "func", before)
    assert list(Queue.objects.values_list("name", flat=True)) == written
    assert connection.savepoint_ids == []


def test_what_tasks_say_is_kept() -> None:
    pk = services.submit("tests.telling.report", {"done": "2", "total": 4}).id
    drain()
    assert Progress.objects.get(task=pk).percent == 50
    assert LogLine.objects.get(task=pk).message == "reporting"


def test_drain_serves_only_the_queues_it_is_told() -> None:
    services.submit("tests.noop", queue="low")
    assert drain("high", "default") == []
    assert len(drain("low")) == 1


def test_time_passes_when_told() -> None:
    pk = services.submit("tests.fail").id
    delayed = services.submit("tests.noop", delay=3600).id
    expiring = services.submit("tests.noop", delay=90_000, expires_at=timezone.now() + datetime.timedelta(days=2)).id
    Task.objects.filter(pk=expiring).update(expires_at=timezone.now() + datetime.timedelta(hours=1))
    assert [task.state for task in drain()] == ["queued"]
    advance(5)
    drain()
    advance(5)
    assert [(task.pk, task.state, task.attempt) for task in drain()] == [(pk, "failed", 3)]
    advance(3600)
    assert [task.pk for task in drain()] == [delayed]
    assert Task.objects.get(pk=expiring).state == "expired"


@pytest.mark.parametrize("year", [2019, 2040])
def test_a_stopped_clock_is_the_one_that_counts(year: int) -> None:
    at = datetime.datetime(year, 12, 31, 23, 59, tzinfo=datetime.UTC)
    minute = datetime.timedelta(minutes=1)
    with frozen(at) as clock:
        services.submit("tests.noop")
        later = services.submit("tests.noop", run_at=at + minute).id
        expiring = services.submit("tests.noop", queue="low", expires_at=at + minute).id
        assert [task.finished_at for task in drain("default")] == [at]
        clock.advance(59)
        assert drain("default") == []
        clock.move_to(at + minute)
        assert [(task.pk, task.finished_at) for task in drain()] == [(later, at + minute)]
        assert Task.objects.get(pk=expiring).state == "expired"
        assert clock.now() == at + minute
    now = services.submit("tests.noop").id
    assert [task.pk for task in drain()] == [now]
    assert abs(Task.objects.get(pk=now).finished_at - timezone.now()) < minute


def test_what_is_made_under_a_stopped_clock_is_of_that_time() -> None:
    at = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    with frozen(at) as clock:
        services.submit_many([services.build("tests.add", {"a": 1, "b": 2}) for _ in range(2)])
        failed = services.submit("tests.discard").id
        services.submit_workflow("steps", [{"name": "tests.noop"}])
        services.save_schedule(name="hourly", task="tests.noop", expression="0 * * * *")
        services.start_bulk("retry", ids=[failed])
        clock.advance(3600)
        drain()
        services.replay([failed])
    made = 0
    for model in apps.get_app_config("queue_core").get_models():
        fields = {field.name for field in model._meta.fields} & {"created_at", "failed_at", "first_seen", "last_seen"}
        for row in model._default_manager.values_list(*fields) if fields else ():
            assert all(at <= time <= at + datetime.timedelta(hours=1) for time in row), (model, row)
            made += 1
    assert made >= 10


def test_a_task_that_may_be_tried_for_a_time_is_in_time_by_the_stopped_clock() -> None:
    pk = services.submit("tests.picky").id
    with frozen(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)) as clock:
        in_time = services.submit("tests.picky").id
        assert {task.pk: task.state for task in drain()} == {pk: "failed", in_time: "succeeded"}
        late = services.submit("tests.picky").id
        clock.advance(3601)
        assert {task.pk: task.state for task in drain()} == {late: "failed"}


def test_schedules_fire_by_the_stopped_clock_also_in_a_night_when_clocks_change() -> None:
    at = datetime.datetime(2030, 3, 30, 12, tzinfo=datetime.UTC)
    with frozen(at) as clock:
        services.save_schedule(name="nightly", task="tests.noop", expression="30 2 * * *", timezone="Europe/Berlin")
        clock.advance(86_400)
        (task,) = drain()
        # 02:30 is left out that night: it runs when the clocks show 03:00.
        fire = ScheduleFire.objects.get(task=task)
        assert fire.fire_at == datetime.datetime(2030, 3, 31, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize("at", [None, "2030-01-01", datetime.datetime(2030, 1, 1), 5])  # noqa: DTZ001 - the point
def test_a_clock_is_stopped_at_an_aware_time_and_goes_on_otherwise(at: object) -> None:
    with pytest.raises(ValueError, match="aware"), frozen(at):  # type: ignore[arg-type]
        pass
    with frozen(timezone.now() + datetime.timedelta(days=1)):
        pass
    with connection.cursor() as cursor:
        cursor.execute("SELECT abs(extract(epoch FROM clock_timestamp() - %s)) < 60", [timezone.now()])
        assert cursor.fetchone() == (True,)


def test_assert_submitted_finds_and_explains() -> None:
    services.submit("tests.add", {"a": 1, "b": 2})
    (task,) = assert_submitted("tests.add", {"a": 1})
    assert task.payload["b"] == 2
    with pytest.raises(AssertionError, match=r"0 tasks tests.add with \{'a': 2\} were submitted, not 1"):
        assert_submitted("tests.add", {"a": 2})
    with pytest.raises(AssertionError, match="not 3"):
        assert_submitted("tests.add", count=3)


def test_drain_serves_lanes_leaves_what_is_paused_and_keeps_no_limit() -> None:
    for customer in "ab":
        services.submit("tests.rated_key", {"customer": customer})
        services.submit("tests.rated_key", {"customer": customer})
    services.submit("tests.noop")
    services.pause_type("tests.noop")
    services.submit("tests.limited", queue="low")
    services.pause_queue("low")
    assert [task.key for task in drain()] == ["a", "a", "b", "b"]
    services.resume_queue("low")
    assert [task.name for task in drain()] == ["tests.limited"]
