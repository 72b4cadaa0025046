"""Verbs that meet: a worker, a submission or another verb at the same moment, or in between."""

import datetime
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from queue_core import bulk, lifecycle, services
from queue_core.errors import InvalidSubmission
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.models import DeadLetter, Task, Workflow
from queue_core.services.pull_register import pull_lock
from queue_core.services.rescue import rescue
from tests.meeting import beside

pytestmark = pytest.mark.django_db(transaction=True)


def failed(task: Claimed) -> Ended:
    return Ended(task, "failed", "failed", 0.0, 0.1, failure=Failure("boom", "E", "", "f" * 32, "attempts"))


def work(worker_id: int, limit: int = 100, *, fails: bool = False) -> None:
    claimed = lifecycle.claim(["default"], worker_id, limit)
    lifecycle.finish([failed(t) if fails else Ended(t, "succeeded", "succeeded", 0.0, 0.1) for t in claimed])
    services.settle()


def test_a_bulk_operation_is_taken_before_the_line_that_it_is_to_cancel(worker_id: int) -> None:
    for _ in range(3):
        services.submit("tests.noop", {}, priority=99)
    services.start_bulk("cancel", query="name:tests.noop")
    assert lifecycle.claim(["default"], worker_id, 1)[0].name == "queue_core.bulk"


def test_the_steps_of_a_running_workflow_stay(worker_id: int) -> None:
    steps = [{"key": key, "name": "tests.noop", "payload": {}} for key in "ab"]
    services.submit_workflow(
        "w", steps, callbacks={"success": {"name": "tests.add"}, "failure": {"name": "tests.noop"}}
    )
    work(worker_id, 1, fails=True)
    lost = Task.objects.get(state="failed")
    outcome = services.delete_tasks([lost.pk])
    assert (outcome.changed, outcome.reason) == (0, "needed by a workflow or tasks that are not over")
    work(worker_id, 1)
    assert Workflow.objects.get().state == "failed"
    assert Task.objects.get(step=None).name == "tests.noop"
    assert services.delete_tasks([lost.pk]).changed == 1


def test_a_purge_asks_nobody_to_end_whom_a_worker_takes_meanwhile(
    worker_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        services.submit("tests.noop", {})
    cancel = lifecycle.cancel
    found: list[Any] = []

    def late(ids: Sequence[int]) -> tuple[int, int]:
        beside(lambda: lifecycle.claim(["default"], worker_id, 2), found).join(10)
        return cancel(ids)

    monkeypatch.setattr(lifecycle, "cancel", late)
    assert services.purge_queue("default").changed == 3
    assert found == [[]]
    assert not Task.objects.filter(cancel_requested_at__isnull=False).exists()


def test_a_retry_that_meets_a_submission_with_its_unique_key_leaves_the_task(worker_id: int) -> None:
    old = services.submit("tests.noop", {}, unique_key="k").id
    work(worker_id, fails=True)
    found: list[Any] = []
    with transaction.atomic():
        services.submit("tests.noop", {}, unique_key="k")
        thread = beside(lambda: services.retry([old]), found)
    thread.join(10)
    assert (found[0].changed, found[0].skipped) == (0, 1)
    assert sorted(Task.objects.values_list("state", flat=True)) == ["failed", "queued"]


def test_a_retried_workflow_waits_for_the_step_that_was_retried_by_itself(worker_id: int) -> None:
    second = {"key": "b", "name": "tests.noop", "depends_on": ["a"]}
    services.submit_workflow("w", [{"key": "a", "name": "tests.noop"}, second])
    work(worker_id, fails=True)
    services.retry([Task.objects.get(step="a").pk])
    services.retry_workflow(Workflow.objects.get())
    assert dict(Task.objects.values_list("step", "state")) == {"a": "queued", "b": "blocked"}
    work(worker_id)
    work(worker_id)
    assert Workflow.objects.get().state == "succeeded"


def test_replaying_letters_and_retrying_their_tasks_never_deadlock(
    worker_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = services.submit("tests.noop", {}).id
    work(worker_id, fails=True)
    letter, replay = DeadLetter.objects.get(), lifecycle.replay
    found: list[Any] = []
    threads: list[threading.Thread] = []

    def late(*args: Any, **options: Any) -> Any:
        threads.append(beside(lambda: services.retry([task]), found))
        return replay(*args, **options)

    monkeypatch.setattr(lifecycle, "replay", late)
    assert len(services.replay_letters([letter.pk])) == 1
    threads[0].join(10)
    assert found[0].changed == 1


@pytest.mark.parametrize("year", [1, 1969, 2201, 9999])
def test_a_time_whose_row_could_not_be_read_again_is_refused(year: int) -> None:
    far = datetime.datetime(year, 6, 1, tzinfo=datetime.UTC)
    for option in ("run_at", "expires_at"):
        with pytest.raises(InvalidSubmission, match=option):
            services.submit("tests.noop", {}, **{option: far})


def test_a_snooze_of_ages_leaves_a_row_that_can_be_read(worker_id: int) -> None:
    services.submit("tests.noop", {})
    (task,) = lifecycle.claim(["default"], worker_id, 1)
    lifecycle.finish([Ended(task, "queued", None, 0.0, 0.1, delay=3e11)])
    assert Task.objects.get().run_at > timezone.now() + datetime.timedelta(days=3_000)


def test_a_bulk_move_leaves_what_the_queue_could_not_run(settings: Any) -> None:
    settings.QUEUE_EXTERNAL_TASKS = {"images.resize": {"queue": "mail"}}
    task = services.submit("tests.noop", {}).id
    operation = services.start_bulk("move", ids=[task], params={"queue": "mail"}, in_background=False)
    services.run_bulk(operation.pk, seconds=5.0)
    operation.refresh_from_db()
    assert (operation.changed, operation.skipped) == (0, 1)
    assert Task.objects.get(pk=task).queue == "default"


def test_a_step_of_a_workflow_that_is_being_cancelled_is_not_retried(worker_id: int) -> None:
    services.submit_workflow("w", [{"key": key, "name": "tests.noop"} for key in "ab"])
    running = lifecycle.claim(["default"], worker_id, 1)
    services.cancel_workflow([Workflow.objects.get().pk])
    stopped = Task.objects.get(state="cancelled")
    outcome = services.retry([stopped.pk])
    assert (outcome.changed, "the workflow is being cancelled" in outcome.reason) == (0, True)
    with transaction.atomic():
        bulk_retry = bulk.get("queue_core.task", "retry").work([stopped.pk], {}, None)
    assert bulk_retry.refusals == {stopped.pk: "is a step of a workflow that is being cancelled"}
    lifecycle.finish([Ended(running[0], "cancelled", "cancelled", 0.0, 0.1)])
    services.settle()
    assert Workflow.objects.get().state == "cancelled"
    assert services.retry([stopped.pk]).changed == 1
    assert Workflow.objects.get().state == "running"


def test_a_worker_that_speaks_while_it_is_given_up_waits_for_nobody(settings: Any) -> None:
    settings.QUEUE_EXTERNAL_TASKS = {"images.resize": {"queue": "mail"}}
    services.submit("images.resize", {})
    worker = services.pull_register(name="w", hostname="h", queues=["mail"])
    services.pull_claim(worker.pk, limit=1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workers SET lease_until = now() - interval '1s'")
    found: list[Any] = []
    with transaction.atomic():
        pull_lock(worker.pk)
        thread = beside(rescue, found)
        thread.join(10)
        # Its task has been taken away beside it, and it still finds no lock in its way.
        assert services.pull_beat(worker.pk, holds=[]).cancel == []
    assert found == [{"mail"}]
    assert rescue() == set()
