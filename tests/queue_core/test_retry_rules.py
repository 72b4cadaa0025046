"""What of a task type is tried again, and until when."""

import math
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from pytest_django import Settings

from queue_core import execution, lifecycle, registry, services
from queue_core.drain import Station
from queue_core.errors import LONGEST_DELAY, RetryLater, Snooze, TaskTimeout
from queue_core.execution.outcomes import ended_by
from queue_core.models import DeadLetter, DeadLetterGroup, Execution, Task
from queue_core.policies import Backoff, RetryRules
from queue_core.registry import task
from queue_core.services.register_worker import register_worker
from queue_core.services.rescue import rescue
from queue_core.testing import advance, drain

pytestmark = pytest.mark.django_db

_RAISED: dict[str, type[BaseException]] = {
    "FileNotFoundError": FileNotFoundError, "ConnectionError": ConnectionError, "ValueError": ValueError,
}  # fmt: skip


@task(name="tests.rules.picky", retry_on=(OSError,), discard_on=(FileNotFoundError,))
def picky(*, error: str) -> None:
    if error == "RetryLater":
        raise RetryLater("busy", seconds=0)
    raise _RAISED[error]("told to")


@task(name="tests.rules.no_timeouts", retry_on=(ConnectionError,))
def no_timeouts(*, error: str) -> None:
    pass


@task(name="tests.rules.brief", retry_until=60, backoff=Backoff(base=1000, factor=1, cap=1000), max_attempts=9)
def brief(*, fails: bool = True) -> None:
    if fails:
        raise ValueError("no")


@task(name="tests.rules.brief_coroutine", retry_until=60)
async def brief_coroutine() -> None:
    pass


@task(name="tests.rules.busy", retry_until=60)
def busy() -> None:
    raise RetryLater("busy", seconds=5)


@task(name="tests.rules.busy_coroutine", retry_until=60)
async def busy_coroutine() -> None:
    raise RetryLater("busy", seconds=5)


def letter(pk: int) -> str:
    return DeadLetter.objects.get(task=pk, resolution="").reason


@pytest.mark.parametrize(
    ("error", "state"),
    [
        ("ConnectionError", "queued"),
        ("RetryLater", "queued"),
        ("FileNotFoundError", "failed"),
        ("ValueError", "failed"),
    ],
)
def test_only_what_the_type_names_is_tried_again(error: str, state: str) -> None:
    pk = services.submit("tests.rules.picky", {"error": error}).id
    (ended, *_) = drain_once()
    assert (ended.pk, ended.state, ended.attempt) == (pk, state, 1)
    if state == "failed":
        assert (letter(pk), ended.error) == ("discarded", f"{error}: told to")


@pytest.mark.parametrize(("name", "state"), [("picky", "queued"), ("no_timeouts", "failed")])
def test_a_timeout_counts_as_a_timeout_error(name: str, state: str) -> None:
    services.submit(f"tests.rules.{name}", {"error": ""})
    (held,) = lifecycle.claim(["default"], register_worker(["default"]), 1)
    assert ended_by(TaskTimeout(), held, registry.get(held.name), 0.0, 1.0).state == state


def drain_once() -> list[Task]:
    """One attempt of each task: `drain` would go on with those that are due again at once."""
    held = lifecycle.claim(["default"], register_worker(["default"]), 10)
    alarm = execution.SignalAlarm()
    alarm.install()
    runner = execution.Runner(alarm, time.monotonic)
    lifecycle.finish([runner.run(execution.Run(each)) for each in held])
    return list(Task.objects.filter(pk__in=[each.id for each in held]))


def test_no_attempt_is_planned_for_after_the_time_to_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "delay", lambda *_: 30.0)
    pk = services.submit("tests.rules.brief").id
    assert drain()[0].state == "queued"
    advance(31)
    (ended,) = drain()
    assert (ended.state, ended.attempt, letter(pk)) == ("failed", 2, "late")
    assert ended.error == "ValueError: no (not tried again: over 60 s after its creation, see retry_until)"
    prints = set(DeadLetter.objects.values_list("fingerprint", flat=True))
    other = services.submit("tests.rules.brief", max_attempts=1).id
    drain()
    assert (letter(other), set(DeadLetter.objects.values_list("fingerprint", flat=True))) == ("attempts", prints)


@pytest.mark.parametrize("name", ["tests.rules.brief", "tests.rules.brief_coroutine"])
def test_a_task_that_was_due_in_time_does_not_begin_too_late(name: str) -> None:
    pk = services.submit(name).id
    advance(61)
    (ended,) = drain()
    assert (ended.state, ended.attempt, letter(pk)) == ("failed", 1, "late")
    assert ended.error == "not started: over 60 s after its creation, see retry_until"
    assert Execution.objects.get(task_id=pk).outcome == "failed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["tests.rules.busy", "tests.rules.busy_coroutine"])
def test_what_is_not_started_again_tells_what_it_failed_of_and_falls_into_the_same_group(
    station: Station, name: str
) -> None:
    not_started = services.submit(name).id
    station.serve(10, burst=True)
    times = {"created_at": Now() - timedelta(seconds=61), "run_at": Now() - timedelta(seconds=10)}
    Task.objects.filter(pk=not_started).update(**times, parked=False)  # due in time, but nobody came
    not_tried = services.submit(name).id
    Task.objects.filter(pk=not_tried).update(created_at=Now() - timedelta(seconds=58))
    station.serve(10, burst=True)
    assert dict(Task.objects.values_list("pk", "error")) == {
        not_started: "busy (not started again: over 60 s after its creation, see retry_until)",
        not_tried: "busy (not tried again: over 60 s after its creation, see retry_until)",
    }
    assert (letter(not_started), letter(not_tried), DeadLetterGroup.objects.get().open) == ("late", "late", 2)
    attempts = Execution.objects.filter(task=not_started).order_by("attempt")
    assert set(attempts.values_list("error_class", flat=True)) == {"queue_core.errors.RetryLater"}


def test_a_task_whose_worker_was_lost_does_not_begin_again_too_late(lose: Any) -> None:
    pk = services.submit("tests.rules.brief").id
    worker_id = register_worker(["default"])
    lifecycle.claim(["default"], worker_id, 1)
    lose(worker_id)
    rescue()
    advance(61)
    assert [(ended.pk, ended.state) for ended in drain()] == [(pk, "failed")]
    assert letter(pk) == "late"


def test_what_a_person_wants_late_runs_once_more() -> None:
    retried = services.submit("tests.rules.brief", {"fails": False}).id
    advance(61)
    drain()
    Task.objects.filter(pk=retried).update(created_at="2020-01-01T00:00Z")
    assert services.retry([retried]).changed == 1
    delayed = services.submit("tests.rules.brief", {"fails": False}, delay=3600).id
    assert [ended.state for ended in drain()] == ["succeeded"]
    advance(3601)
    assert [(ended.pk, ended.state) for ended in drain()] == [(delayed, "succeeded")]


@task(name="tests.rules.returns", schema=None)
def returns(*, what: str) -> Any:
    return {"large": "x" * 2000, "set": {1}, "nul": "\x00", "nan": math.nan}[what]


@task(name="tests.rules.returns_later", schema=None)
async def returns_later(*, what: str) -> Any:
    return {"large": "x" * 2000}[what]


@pytest.mark.parametrize(
    ("name", "what", "reason"),
    [
        ("returns", "large", "the result has 2002 bytes of JSON; the limit is 1000"),
        ("returns", "set", "the result is not JSON: Object of type set is not JSON serializable"),
        ("returns", "nul", "the result holds a NUL character, which PostgreSQL cannot store"),
        ("returns", "nan", "the result is not JSON: Out of range float values are not JSON compliant"),
        ("returns_later", "large", "the result has 2002 bytes of JSON; the limit is 1000"),
    ],
)
def test_a_task_whose_result_cannot_be_kept_does_its_work_once(
    settings: Settings, name: str, what: str, reason: str
) -> None:
    settings.QUEUE_RESULT_MAX_BYTES = 1000
    pk = services.submit(f"tests.rules.{name}", {"what": what}).id
    (ended,) = drain()
    assert ended.error.startswith(reason)
    assert ended.error.endswith(" (the work is done, so it is not tried again)")
    assert (ended.state, ended.attempt, letter(pk)) == ("failed", 1, "discarded")


NO_WAITS = [True, None, "5", math.nan, [], timedelta(seconds=5), b"1"]


@pytest.mark.parametrize("seconds", NO_WAITS, ids=repr)
def test_a_wait_that_is_no_number_is_refused_where_it_is_raised(seconds: Any) -> None:
    with pytest.raises(ValueError, match="Snooze takes a number of seconds, not "):
        Snooze(seconds)
    with pytest.raises(ValueError, match="RetryLater takes a number of seconds, not "):
        RetryLater("busy", seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "waited"),
    [(5, 5.0), (0.5, 0.5), (-1, 0.0), (-math.inf, 0.0), (math.inf, LONGEST_DELAY), (10**5000, LONGEST_DELAY)],
    ids=lambda value: repr(value)[:12] if isinstance(value, float) else "",
)
def test_a_wait_is_from_nothing_to_ten_years(seconds: Any, waited: float) -> None:
    assert Snooze(seconds).seconds == RetryLater("busy", seconds=seconds).seconds == waited


@task(name="tests.rules.wait", schema=None)
def wait(*, how: str) -> None:
    if how == "snooze":
        raise Snooze(True)
    raise RetryLater("busy", seconds=math.inf)


@pytest.mark.parametrize(
    ("how", "error"),
    [("snooze", "ValueError: Snooze takes a number of seconds, not True"), ("later", "busy")],
)
def test_a_task_that_asks_for_a_strange_wait_is_tried_again(how: str, error: str) -> None:
    services.submit("tests.rules.wait", {"how": how})
    assert [(ended.state, ended.error) for ended in drain()] == [("queued", error)]


@pytest.mark.parametrize(
    "rules",
    [
        {"retry_on": ValueError},
        {"retry_on": ("ValueError",)},
        {"retry_on": [ValueError]},
        {"discard_on": None},
        {"discard_on": (int,)},
        {"until": 0},
        {"until": True},
        {"until": "1h"},
        {"until": float("nan")},
        {"until": float("inf")},
        {"retry_on": (FileNotFoundError,), "discard_on": (OSError,)},
    ],
)
def test_rules_that_cannot_be_are_refused_by_name(rules: dict[str, Any]) -> None:
    (option, *_) = rules
    with pytest.raises(ValueError, match=rf"^(retry_)?{option} "):
        RetryRules(**rules)


def test_a_task_with_wrong_rules_is_not_registered() -> None:
    with pytest.raises(ValueError, match=r"The task 'tests\.rules\.wrong' cannot be: retry_until must be"):
        task(name="tests.rules.wrong", retry_until=-1)(no_timeouts.func)
    assert registry.find("tests.rules.wrong") is None
