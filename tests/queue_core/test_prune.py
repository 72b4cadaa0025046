import datetime
import importlib

import pytest
from django.utils import timezone
from pytest_django import Settings

from queue_core import services
from queue_core.models import DeadLetter, DeadLetterGroup, Execution, PruneWalk, Result, Task
from queue_core.services import prune as verb
from queue_core.testing import drain

pytestmark = pytest.mark.django_db


def age(pks: list[int], days: float) -> None:
    then = timezone.now() - datetime.timedelta(days=days)
    Task.objects.filter(pk__in=pks).update(created_at=then, finished_at=then)


def test_prune_forgets_what_is_past_its_keep_with_all_that_hangs_on_it(settings: Settings) -> None:
    settings.QUEUE_KEEP_DAYS = {"succeeded": 7, "failed": 30}
    old, young = services.submit("tests.add", {"a": 1, "b": 1}).id, services.submit("tests.add", {"a": 1, "b": 1}).id
    dead, waiting = services.submit("tests.discard").id, services.submit("tests.noop", delay=60).id
    pinned = services.submit("tests.noop").id
    drain()
    Task.objects.filter(pk=pinned).update(pinned=True)
    age([old, pinned], 8)
    age([dead], 29)
    Task.objects.filter(pk=waiting).update(created_at=timezone.now() - datetime.timedelta(days=99))
    assert verb() == 1
    assert set(Task.objects.values_list("pk", flat=True)) == {young, dead, waiting, pinned}
    assert not Execution.objects.filter(task_id=old).exists()
    assert list(Result.objects.values_list("task_id", flat=True)) == [young]
    age([dead], 31)
    assert verb() == 1
    assert not DeadLetter.objects.exists()
    assert (DeadLetterGroup.objects.get().open, DeadLetterGroup.objects.get().total) == (0, 1)


def test_prune_takes_the_rule_of_the_queue_before_the_general_one(settings: Settings) -> None:
    settings.QUEUE_KEEP_DAYS = {"succeeded": 7, "low": {"succeeded": 1}, "high": {"succeeded": 100}}
    pks = {queue: services.submit("tests.noop", queue=queue).id for queue in ("low", "default", "high")}
    drain()
    age(list(pks.values()), 5)
    assert verb() == 1
    assert set(Task.objects.values_list("queue", flat=True)) == {"default", "high"}


def test_prune_walks_on_over_rows_it_must_keep(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.QUEUE_KEEP_DAYS = {"succeeded": 1}
    monkeypatch.setattr(importlib.import_module("queue_core.services.prune"), "_SLICE", 3)
    kept = [services.submit("tests.noop", delay=60).id for _ in range(7)]
    doomed = [services.submit("tests.noop").id for _ in range(4)]
    drain()
    age(kept + doomed, 9)
    Task.objects.filter(pk__in=kept).update(finished_at=None)
    assert verb() == 4
    assert Task.objects.count() == 7


def test_prune_without_rules_forgets_nothing(settings: Settings) -> None:
    settings.QUEUE_KEEP_DAYS = {}
    assert verb() == 0


def test_the_hourly_prune_goes_on_where_it_was_and_starts_over_once_a_day(settings: Settings) -> None:
    settings.QUEUE_KEEP_DAYS = {"succeeded": 1, "failed": 90}
    first, dead = services.submit("tests.noop").id, services.submit("tests.discard").id
    services.submit("queue_core.prune", queue="low")
    drain("default")
    age([dead], 9)
    Task.objects.filter(pk=first).update(pinned=True)
    age([first], 9)
    assert [task.result.value["pruned"] for task in drain("low")] == [0]
    assert PruneWalk.objects.get().reached == dead
    services.unpin([first])
    assert verb(go_on=True) == 0  # it lies behind the walk
    PruneWalk.objects.update(began_at=timezone.now() - datetime.timedelta(days=1, seconds=1))
    assert verb(go_on=True) == 1
    age([dead], 99)
    assert verb(go_on=True) == 0
    assert verb() == 1  # by hand it starts at the oldest
    assert PruneWalk.objects.count() == 1


def test_a_prune_that_ran_out_of_time_goes_on_from_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.QUEUE_KEEP_DAYS = {"succeeded": 1}
    module = importlib.import_module("queue_core.services.prune")
    monkeypatch.setattr(module, "_SLICE", 2)
    pks = [services.submit("tests.noop").id for _ in range(5)]
    drain()
    age(pks, 9)
    clock = iter([0.0, 0.5, 1.5])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert verb(seconds=1, go_on=True) == 2
    assert PruneWalk.objects.get().reached == pks[1]
    monkeypatch.undo()
    settings.QUEUE_KEEP_DAYS = {"succeeded": 1}
    assert verb(go_on=True) == 3
