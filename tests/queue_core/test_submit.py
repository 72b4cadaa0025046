import datetime
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from django.template import Context, Template
from django.utils import timezone

from queue_core import registry, services
from queue_core.broker import bell
from queue_core.errors import InvalidSubmission, UnknownQueue, UnknownTask
from queue_core.models import Task

pytestmark = pytest.mark.django_db


def test_submit_writes_a_queued_row_with_the_policy_of_its_type() -> None:
    submitted = services.submit("tests.fail", {"text": "é\n😀"})
    task = Task.objects.get(pk=submitted.id)
    assert (task.state, task.queue, task.max_attempts, task.attempt) == ("queued", "default", 3, 0)
    assert task.payload == {"text": "é\n😀"}
    assert not task.parked


@pytest.mark.django_db(transaction=True)
def test_submit_rings_only_when_the_transaction_commits(silent_bell: list[str]) -> None:
    with transaction.atomic():
        services.submit("tests.noop", queue="high")
        assert silent_bell == []
    assert silent_bell == ["high"]
    with transaction.atomic():
        services.submit("tests.noop")
        transaction.set_rollback(True)
    assert silent_bell == ["high"]
    assert Task.objects.count() == 1


def test_submit_parks_what_is_not_due() -> None:
    later = timezone.now() + datetime.timedelta(hours=1)
    by_time = services.submit("tests.noop", run_at=later)
    by_delay = services.submit("tests.noop", delay=60)
    for submitted in (by_time, by_delay):
        task = Task.objects.get(pk=submitted.id)
        assert task.parked
        assert task.shown_state == "scheduled"


def test_submit_answers_the_live_task_for_a_used_unique_key() -> None:
    first = services.submit("tests.noop", unique_key="k")
    assert services.submit("tests.noop", unique_key="k") == services.Submitted(first.id, created=False)
    assert services.submit("tests.add", {"a": 1, "b": 1}, unique_key="k").created
    services.cancel([first.id])
    assert services.submit("tests.noop", unique_key="k").created


@pytest.mark.django_db(transaction=True)
def test_submit_from_many_at_once_makes_one_row_for_a_unique_key(in_thread: Callable[..., threading.Thread]) -> None:
    answers: list[services.Submitted] = []
    barrier = threading.Barrier(6)

    def race() -> None:
        barrier.wait(10)
        answers.append(services.submit("tests.noop", unique_key="race"))

    for thread in [in_thread(race) for _ in range(6)]:
        thread.join(20)
    assert len(answers) == 6
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.id for answer in answers}) == 1


def test_submit_many_answers_ids_in_order_and_all_or_nothing() -> None:
    rows = [services.build("tests.noop", {"i": i}, priority=i % 3) for i in range(7_000)]
    ids = services.submit_many(rows)
    assert ids == sorted(ids)
    assert [task.payload["i"] for task in Task.objects.filter(pk__in=ids).order_by("pk")] == list(range(7_000))


DEEP: Any = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("name", "payload", "options", "error", "word"),
    [
        ("no.such", {}, {}, UnknownTask, "no.such"),
        ("tests.noop", {}, {"queue": "nowhere"}, UnknownQueue, "nowhere"),
        ("tests.noop", [1], {}, InvalidSubmission, "payload"),
        ("tests.noop", "text", {}, InvalidSubmission, "payload"),
        ("tests.noop", {1: 2}, {}, InvalidSubmission, "payload"),
        ("tests.noop", {"x": object()}, {}, InvalidSubmission, "payload"),
        ("tests.noop", {"x": float("nan")}, {}, InvalidSubmission, "payload"),
        ("tests.noop", {"x": "\x00"}, {}, InvalidSubmission, "NUL"),
        ("tests.noop", {"x\x00": 1}, {}, InvalidSubmission, "NUL"),
        ("tests.noop", {"x": "\ud800"}, {}, InvalidSubmission, "payload"),
        ("tests.noop", {"x": DEEP}, {}, InvalidSubmission, "payload"),
        ("tests.noop", {"x": "y" * 1024 * 1024}, {}, InvalidSubmission, "limit"),
        ("tests.noop", {}, {"priority": 101}, InvalidSubmission, "priority"),
        ("tests.noop", {}, {"priority": 1.5}, InvalidSubmission, "priority"),
        ("tests.noop", {}, {"priority": True}, InvalidSubmission, "priority"),
        ("tests.noop", {}, {"priority": "high"}, InvalidSubmission, "priority"),
        ("tests.noop", {}, {"max_attempts": 0}, InvalidSubmission, "max_attempts"),
        ("tests.noop", {}, {"run_at": "tomorrow"}, InvalidSubmission, "run_at"),
        ("tests.noop", {}, {"run_at": datetime.datetime(2030, 1, 1)}, InvalidSubmission, "time zone"),  # noqa: DTZ001
        ("tests.noop", {}, {"delay": 1, "run_at": timezone.now()}, InvalidSubmission, "give one of them"),
        ("tests.noop", {}, {"delay": -1}, InvalidSubmission, "delay"),
        ("tests.noop", {}, {"delay": float("inf")}, InvalidSubmission, "delay"),
        ("tests.noop", {}, {"delay": float("nan")}, InvalidSubmission, "delay"),
        ("tests.noop", {}, {"unique_key": ""}, InvalidSubmission, "unique_key"),
        ("tests.noop", {}, {"unique_key": "x" * 201}, InvalidSubmission, "unique_key"),
        ("tests.noop", {}, {"unique_key": "\x00"}, InvalidSubmission, "unique_key"),
        ("tests.noop", {}, {"colour": "red"}, InvalidSubmission, "colour"),
        ("tests.noop", {}, {"expires_at": "soon"}, InvalidSubmission, "expires_at"),
        ("tests.noop", {}, {"tags": "red"}, InvalidSubmission, "tags"),
        ("tests.noop", {}, {"tags": [1]}, InvalidSubmission, "tags"),
        ("tests.noop", {}, {"tags": ["\ud800"]}, InvalidSubmission, "tags"),
        ("tests.noop", {}, {"tags": ["x" * 65]}, InvalidSubmission, "tags"),
        ("tests.noop", {}, {"tags": ["x"] * 33}, InvalidSubmission, "tags"),
    ],
)
def test_submit_refuses_what_cannot_run(
    name: str, payload: Any, options: dict[str, Any], error: type[Exception], word: str
) -> None:
    with pytest.raises(error, match=word):
        services.submit(name, payload, **options)
    assert not Task.objects.exists()


def test_submit_takes_text_that_only_looks_like_nul() -> None:
    submitted = services.submit("tests.noop", {"x": "\\u0000", "y": "\\\\u0000"})
    assert Task.objects.get(pk=submitted.id).payload == {"x": "\\u0000", "y": "\\\\u0000"}


@pytest.mark.django_db(transaction=True)
def test_batches_with_the_same_keys_in_opposite_order_both_succeed(in_thread: Callable[..., threading.Thread]) -> None:
    keys = [f"key {n}" for n in range(1_500)]
    answers: list[list[services.Submitted]] = []
    barrier = threading.Barrier(2)

    def race(order: list[str]) -> None:
        barrier.wait(10)
        answers.append(services.submit_batch([{"name": "tests.noop", "unique_key": key} for key in order]))

    for thread in [in_thread(lambda order=order: race(order)) for order in (keys, keys[::-1])]:
        thread.join(30)
    assert len(answers) == 2
    assert Task.objects.count() == 1_500
    assert {one.id for one in answers[0]} == {one.id for one in answers[1]}


def test_a_batch_tells_of_each_whether_it_is_new() -> None:
    there = services.submit("tests.noop", unique_key="there").id
    keys = ["new", "new", "there", None, "other", "new"]
    made = services.submit_batch([{"name": "tests.noop", "unique_key": key} for key in keys])
    assert [one.created for one in made] == [True, False, False, True, True, False]
    assert made[0].id == made[1].id == made[5].id
    assert made[2].id == there
    assert Task.objects.count() == 4


def test_a_refused_batch_says_what_is_wrong_first_and_where_all_of_it_is() -> None:
    with pytest.raises(services.InvalidBatch) as refused:
        services.submit_batch([{"name": "tests.noop"}, 3, {}, {"name": "tests.noop", "queue": "no"}])  # type: ignore[list-item]
    assert str(refused.value) == "Nothing was submitted. tasks.1: must be an object, not 3. And 2 more, see errors."
    assert list(refused.value.errors) == ["tasks.1", "tasks.2.name", "tasks.3.queue"]


def test_a_batch_of_ten_thousand_is_one_transaction_and_quick() -> None:
    begun = time.monotonic()
    made = services.submit_batch([{"name": "tests.noop", "payload": {"n": n}, "tags": ["t"]} for n in range(10_000)])
    assert time.monotonic() - begun < 10
    assert len({one.id for one in made}) == Task.objects.count() == 10_000


@pytest.mark.django_db(transaction=True)
def test_a_valkey_that_hangs_holds_up_no_submission(real_bell: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setattr(django_settings, "REDIS_URL", f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        caches = (bell._ringing, bell._ring_script, bell._rq_queue)
        for cached in caches:
            cached.cache_clear()
        monkeypatch.setattr(bell, "_muted_until", 0.0)
        try:
            begun = time.monotonic()
            assert services.submit("tests.noop").created
            assert time.monotonic() - begun < 1
        finally:
            for cached in caches:
                cached.cache_clear()
            monkeypatch.setattr(bell, "_muted_until", 0.0)


def test_retry_says_that_a_unique_key_is_taken() -> None:
    first = services.submit("tests.noop", unique_key="k").id
    services.cancel([first])
    services.submit("tests.noop", unique_key="k")
    outcome = services.retry([first])
    assert (outcome.changed, outcome.skipped) == (0, 1)
    assert "another live task has the unique key" in outcome.reason


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ({"expires_at": -1}, "has passed"),
        ({"expires_at": 1, "run_at": 1}, "is not after the time it may begin"),
        ({"expires_at": 1, "delay": 2}, "is not after the time it may begin"),
    ],
)
def test_what_would_expire_before_it_could_begin_is_refused_at_every_door(hours: dict[str, int], words: str) -> None:
    now = timezone.now()
    times: dict[str, Any] = {name: now + datetime.timedelta(hours=count) for name, count in hours.items()}
    if "delay" in hours:
        times["delay"] = hours["delay"] * 3600
    given = {"name": "tests.noop", **times}
    with pytest.raises(InvalidSubmission, match=f"expires_at: {words}"):
        services.submit(**given)
    with pytest.raises(InvalidSubmission, match="task 1 of these"):
        services.submit_many([services.build("tests.noop"), services.build(**given)])
    with pytest.raises(services.InvalidBatch) as batch:
        services.submit_batch([{"name": "tests.noop"}, given])
    assert list(batch.value.errors) == ["tasks.1.expires_at"]
    with pytest.raises(services.InvalidWorkflow) as workflow:
        services.submit_workflow("w", [{"name": "tests.noop"}, given])
    assert list(workflow.value.errors) == ["steps.1.expires_at"]
    assert not Task.objects.exists()


def test_a_decorated_function_can_be_called_like_any_other() -> None:
    add = registry.get("tests.add")
    assert add(a=1, b=2) == add.call(a=1, b=2) == add.func(a=1, b=2) == 3
    assert not Task.objects.exists()
    shown = Template("{{ add.name }} {{ add }}").render(Context({"add": add}))
    assert shown.startswith("tests.add ")


def test_a_decorated_function_may_stand_for_its_name() -> None:
    made = services.submit(registry.get("tests.noop"))
    assert Task.objects.get(pk=made.id).name == "tests.noop"
