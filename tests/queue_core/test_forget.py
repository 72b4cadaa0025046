"""What grows beside the tasks is forgotten in its time, and not before."""

import importlib
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from config.models import IdempotencyKey
from queue_core import services
from queue_core.models import DeadLetterGroup, Worker, WorkerPool
from queue_core.services.beat import sign_off
from queue_core.services.register_worker import register_worker
from queue_core.services.worker_pool import open_pool
from queue_core.tasks import prune_task
from tests.factories import UserFactory, make_dead_letters

pytestmark = pytest.mark.django_db


def days_ago(number: float) -> object:
    return timezone.now() - timedelta(days=number)


def test_workers_and_pools_are_forgotten_a_while_after_their_end() -> None:
    alive, stopped, lost, fresh = (register_worker(["default"]) for _ in range(4))
    sign_off(stopped)
    sign_off(fresh)
    Worker.objects.filter(pk=lost).update(state="lost")
    Worker.objects.filter(pk__in=[alive, stopped, lost]).update(heartbeat_at=days_ago(8))
    old, young = open_pool(["default"], 1), open_pool(["default"], 1)
    WorkerPool.objects.filter(pk=old).update(heartbeat_at=days_ago(8))
    forgotten = services.forget()
    assert (forgotten["workers"], forgotten["pools"]) == (2, 1)
    assert set(Worker.objects.values_list("pk", flat=True)) == {alive, fresh}
    assert WorkerPool.objects.get().pk == young


def test_a_group_is_forgotten_when_nothing_is_open_and_its_last_failure_is_past_its_keep(settings: Settings) -> None:
    for mark in "abc":
        make_dead_letters(1, fingerprint=mark * 32)
    DeadLetterGroup.objects.filter(pk__in=["a" * 32, "b" * 32]).update(open=0)
    DeadLetterGroup.objects.filter(pk__in=["a" * 32, "c" * 32]).update(last_seen=days_ago(91))
    assert services.forget()["groups"] == 1
    assert set(DeadLetterGroup.objects.values_list("pk", flat=True)) == {"b" * 32, "c" * 32}
    DeadLetterGroup.objects.update(open=0, last_seen=days_ago(9999))
    settings.QUEUE_KEEP_DAYS = {"succeeded": 7}
    assert services.forget()["groups"] == 0


def test_idempotency_keys_are_forgotten_after_their_day_by_the_shipped_task() -> None:
    user = UserFactory()
    for age, key in ((0.9, "young"), (1.1, "old")):
        values = {"request_sha256": "", "status": 201, "content_type": "", "body": b""}
        IdempotencyKey.objects.create(user=user, path="/", key=key, created_at=days_ago(age), **values)
    assert prune_task.call()["idempotency keys"] == 1
    assert IdempotencyKey.objects.get().key == "young"


def test_many_are_forgotten_in_slices_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("queue_core.services.forget"), "_SLICE", 2)
    for _ in range(5):
        sign_off(register_worker(["default"]))
    Worker.objects.update(heartbeat_at=days_ago(8))
    assert services.forget(seconds=0)["workers"] == 0
    assert services.forget()["workers"] == 5
