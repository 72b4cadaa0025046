"""The test kit, used as an app would: inside a transaction, without workers and Valkey."""

import datetime
import signal

import pytest
from django.utils import timezone

from queue_core import services
from queue_core.models import Task
from queue_core.testing import advance, assert_submitted, drain

pytestmark = pytest.mark.django_db


def test_drain_runs_what_is_due_and_answers_the_tasks() -> None:
    services.submit("tests.add", {"a": 1, "b": 2})
    services.submit("tests.discard", queue="low")
    services.submit("tests.noop", delay=60)
    before = signal.getsignal(signal.SIGALRM)
    assert [(task.name, task.state) for task in drain()] == [("tests.add", "succeeded"), ("tests.discard", "failed")]
    assert signal.getsignal(signal.SIGALRM) == before
    assert drain() == []


def test_drain_serves_only_the_queues_it_is_told() -> None:
    services.submit("tests.noop", queue="low")
    assert drain("high", "default") == []
    assert len(drain("low")) == 1


def test_time_passes_when_told() -> None:
    pk = services.submit("tests.fail").id
    delayed = services.submit("tests.noop", delay=3600).id
    expiring = services.submit("tests.noop", delay=90_000, expires_at=timezone.now() + datetime.timedelta(hours=1)).id
    assert [task.state for task in drain()] == ["queued"]
    advance(5)
    drain()
    advance(5)
    assert [(task.pk, task.state, task.attempt) for task in drain()] == [(pk, "failed", 3)]
    advance(3600)
    assert [task.pk for task in drain()] == [delayed]
    assert Task.objects.get(pk=expiring).state == "expired"


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
