"""Tasks that wait for tasks: every way of ending, by every policy."""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from queue_core import lifecycle, services
from queue_core.errors import InvalidSubmission
from queue_core.models import Dependency, Task
from queue_core.services import submit
from queue_core.services.rescue import rescue
from queue_core.testing import drain
from queue_core.ticker import tick

pytestmark = pytest.mark.django_db


def state(pk: int) -> str:
    return Task.objects.get(pk=pk).state


def run_out(worker_id: int, lose: Callable[[int], None]) -> None:
    Task.objects.update(max_crashes=1)
    lifecycle.claim(["low"], worker_id, 1)
    lose(worker_id)
    rescue()


def expire() -> None:
    Task.objects.filter(waits_for=0).update(expires_at=timezone.now() - datetime.timedelta(hours=1))
    lifecycle.expire(10)


ENDINGS = ("succeeded", "failed", "lost", "cancelled", "cancelled while it ran", "expired")


@pytest.fixture
def end(worker_id: int, lose: Callable[[int], None]) -> Callable[[str, int], None]:
    """Let a task of the queue low end in some way, without settling."""

    def ask_while_running(pk: int) -> None:
        claimed = lifecycle.claim(["low"], worker_id, 1)
        services.cancel([pk])
        lifecycle.release(claimed)

    def finish(state: str) -> None:
        claimed = lifecycle.claim(["low"], worker_id, 1)
        failure = lifecycle.Failure("no", fingerprint="f", reason="attempts") if state == "failed" else None
        lifecycle.finish([lifecycle.Ended(task, state, state, 0.0, 0.1, failure=failure) for task in claimed])

    def run(how: str, pk: int) -> None:
        {
            "succeeded": lambda: finish("succeeded"),
            "failed": lambda: finish("failed"),
            "lost": lambda: run_out(worker_id, lose),
            "cancelled": lambda: services.cancel([pk]),
            "cancelled while it ran": lambda: ask_while_running(pk),
            "expired": expire,
        }[how]()

    return run


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("policy", ["cancel", "continue"])
def test_a_child_goes_on_as_its_policy_says_however_its_parent_ends(how: str, policy: str, end: Any) -> None:
    parent = submit("tests.noop", queue="low").id
    child = submit("tests.noop", depends_on=[parent], on_parent_failure=policy).id
    services.settle()
    assert state(child) == "blocked"
    end(how, parent)
    services.settle()
    row = Task.objects.get(pk=child)
    assert row.waits_for == 0
    assert Dependency.objects.get().outcome == state(parent)
    if how == "succeeded" or policy == "continue":
        assert (row.state, row.error) == ("queued", "")
    else:
        said = {"cancelled while it ran": "was cancelled", "cancelled": "was cancelled", "expired": "expired"}
        assert (row.state, row.error) == ("cancelled", f"cancelled: task {parent} {said.get(how, 'failed')}")
        assert row.finished_at is not None
    assert not Task.objects.filter(awaited=True).exists()


@pytest.mark.parametrize("how", ENDINGS)
def test_a_child_submitted_after_its_parent_ended_is_settled_at_once(how: str, end: Any) -> None:
    parent = submit("tests.noop", queue="low").id
    end(how, parent)
    free = submit("tests.noop", depends_on=[parent], on_parent_failure="continue").id
    child = submit("tests.noop", depends_on=[parent]).id
    assert state(free) == "queued"
    assert state(child) == ("queued" if how == "succeeded" else "cancelled")


def test_a_child_waits_for_all_of_its_parents_and_only_for_them() -> None:
    parents = [submit("tests.noop").id for _ in range(3)]
    late = submit("tests.noop", delay=60).id
    child = submit("tests.add", {"a": 1, "b": 2}, depends_on=[*parents, late, late]).id
    drain()
    assert (state(child), Task.objects.get(pk=child).waits_for) == ("blocked", 1)
    Task.objects.filter(pk=late).update(parked=False, run_at=timezone.now() - datetime.timedelta(seconds=5))
    drain()
    assert state(child) == "succeeded"


def test_what_fails_takes_along_all_that_waits_for_it_at_any_distance() -> None:
    first = submit("tests.discard").id
    chain = [first]
    for _ in range(5):
        chain.append(submit("tests.noop", depends_on=[chain[-1]]).id)
    drain()
    assert [state(pk) for pk in chain] == ["failed"] + ["cancelled"] * 5
    assert Task.objects.get(pk=chain[2]).error == f"cancelled: task {chain[1]} was cancelled"


def test_a_released_child_whose_time_has_not_come_is_scheduled(worker_id: int) -> None:
    parent = submit("tests.noop").id
    child = submit("tests.noop", depends_on=[parent], delay=60).id
    drain()
    row = Task.objects.get(pk=child)
    assert (row.state, row.parked, row.shown_state) == ("queued", True, "scheduled")


def test_a_blocked_task_expires_and_its_own_children_hear_of_it() -> None:
    parent = submit("tests.noop", delay=60).id
    child = submit("tests.noop", depends_on=[parent], expires_at=timezone.now() + datetime.timedelta(minutes=1)).id
    grandchild = submit("tests.noop", depends_on=[child]).id
    Task.objects.filter(pk=child).update(expires_at=timezone.now() - datetime.timedelta(minutes=1))
    lifecycle.expire(10)
    services.settle()
    assert (state(child), state(grandchild)) == ("expired", "cancelled")


def test_a_cancelled_child_that_is_retried_waits_again_for_those_that_are_not_over() -> None:
    parent = submit("tests.noop").id
    child = submit("tests.noop", depends_on=[parent]).id
    services.cancel([child])
    services.settle()
    services.retry([child])
    assert state(child) == "blocked"
    drain()
    assert state(child) == "succeeded"


def test_a_child_cancelled_for_a_failure_runs_when_somebody_insists() -> None:
    parent = submit("tests.discard").id
    child = submit("tests.noop", depends_on=[parent]).id
    drain()
    services.retry([child])
    assert (state(child), Task.objects.get(pk=child).error) == ("queued", "")


def test_a_retried_parent_does_not_disturb_children_that_were_told() -> None:
    parent = submit("tests.discard").id
    child = submit("tests.noop", depends_on=[parent], on_parent_failure="continue").id
    drain()
    services.retry([parent])
    drain()
    assert (state(parent), state(child)) == ("failed", "succeeded")


@pytest.mark.parametrize(
    "parents",
    ["7", 7, [0], [-1], [True], ["7"], [1.5], [None], [2**63], [[1]], {"a": 1}, list(range(1, 10_002)), b"ab"],
)
def test_what_cannot_be_parents_is_refused(parents: Any) -> None:
    with pytest.raises(InvalidSubmission, match="depends_on: must be a list of at most 10000 ids"):
        submit("tests.noop", depends_on=parents)


@pytest.mark.parametrize("policy", ["", "ignore", None, 1, [], {}])
def test_what_is_no_policy_is_refused(policy: Any) -> None:
    with pytest.raises(InvalidSubmission, match="must be one of: cancel, continue"):
        submit("tests.noop", depends_on=[1], on_parent_failure=policy)


def test_parents_that_are_not_there_are_named_and_nothing_is_submitted() -> None:
    known = submit("tests.noop").id
    with pytest.raises(InvalidSubmission, match=f"there are no tasks {known + 7}, {known + 8}$"):
        submit("tests.noop", depends_on=[known, known + 7, known + 8])
    with pytest.raises(services.InvalidBatch) as refused:
        services.submit_batch([{"name": "tests.noop", "payload": {}, "depends_on": ids} for ids in ([known], [2**62])])
    assert refused.value.errors == {"tasks.1.depends_on": [f"there is no task {2**62}"]}
    assert Task.objects.count() == 1


def test_a_batch_may_wait_for_tasks_that_are_there() -> None:
    parent = submit("tests.noop").id
    made = services.submit_batch(
        [
            {"name": "tests.noop", "payload": {}, "depends_on": [parent]},
            {"name": "tests.noop", "payload": {}},
            {"name": "tests.noop", "payload": {}, "unique_key": "k", "depends_on": [parent]},
            {"name": "tests.noop", "payload": {}, "unique_key": "k"},
        ]
    )
    assert [state(one.id) for one in made] == ["blocked", "queued", "blocked", "blocked"]
    drain()
    assert {state(one.id) for one in made} == {"succeeded"}


def test_a_submission_that_finds_its_unique_key_live_changes_no_dependency() -> None:
    parent, other = submit("tests.noop").id, submit("tests.noop").id
    child = submit("tests.noop", unique_key="k", depends_on=[parent]).id
    assert submit("tests.noop", unique_key="k", depends_on=[other]).id == child
    assert list(Dependency.objects.values_list("parent_id", flat=True)) == [parent]


def test_the_ticker_settles_what_no_worker_did(lose: Callable[[int], None], worker_id: int) -> None:
    parent = submit("tests.noop", queue="low").id
    child = submit("tests.noop", depends_on=[parent]).id
    run_out(worker_id, lose)
    tick(0)
    assert (state(parent), state(child)) == ("failed", "cancelled")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda: submit("tests.noop").id, "in line for a worker of the queue default"),
        (lambda: submit("tests.noop", delay=86_400 * 366).id, "scheduled for "),
        (lambda: submit("tests.noop", queue=services.pause_queue("low").name).id, "the queue low is paused"),
        (
            lambda: submit("tests.noop", queue=services.limit_queue("low", max_running=2, rate="5/s").name).id,
            "in line for a worker of the queue low",
        ),
        (lambda: submit("tests.noop", depends_on=[submit("tests.add").id]).id, "waits for 1 of 1 task: #"),
    ],
)
def test_a_waiting_task_says_what_for(prepare: Callable[[], int], reason: str) -> None:
    assert services.waiting_reason(Task.objects.get(pk=prepare())).startswith(reason)


def test_a_task_that_waits_for_many_names_a_few() -> None:
    parents = [submit("tests.noop").id for _ in range(8)]
    child = submit("tests.noop", depends_on=parents).id
    services.cancel(parents[:1])
    reason = services.waiting_reason(Task.objects.get(pk=child))
    shown = f"#{parents[0]} tests.noop (cancelled), #{parents[1]} tests.noop (queued), "
    assert reason.startswith(f"waits for 8 of 8 tasks: {shown}")
    assert reason.endswith(", …")
    services.settle()
    assert services.waiting_reason(Task.objects.get(pk=child)) == ""


def test_pruning_keeps_parents_that_somebody_waits_for_and_forgets_edges_with_their_tasks() -> None:
    parent, other = submit("tests.noop").id, submit("tests.noop", delay=60).id
    child = submit("tests.noop", depends_on=[parent, other]).id
    services.cancel([parent])
    Task.objects.update(created_at=timezone.now() - datetime.timedelta(days=99))
    Task.objects.filter(pk=parent).update(finished_at=timezone.now() - datetime.timedelta(days=98))
    keep = {("*", "cancelled"): 86_400.0}
    assert lifecycle.prune(0, 10, keep)[0] == 0
    services.settle()
    assert lifecycle.prune(0, 10, keep)[0] == 1
    assert list(Dependency.objects.values_list("task_id", "parent_id")) == [(child, other)]


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """What happens at the same time, on connections of their own."""

    def test_a_fan_in_is_released_once_by_two_settlers(self, in_thread: Any, worker_id: int) -> None:
        parents = [submit("tests.noop").id for _ in range(40)]
        child = submit("tests.noop", depends_on=parents, queue="low").id
        barrier = threading.Barrier(2)

        def work() -> None:
            barrier.wait()
            while batch := lifecycle.claim(["default"], worker_id, 3):
                lifecycle.finish([lifecycle.Ended(task, "succeeded", "succeeded", 0.0, 0.1) for task in batch])
                services.settle()

        threads = [in_thread(work) for _ in range(2)]
        for thread in threads:
            thread.join()
        row = Task.objects.get(pk=child)
        assert (row.state, row.waits_for) == ("queued", 0)
        assert not Task.objects.filter(awaited=True).exists()

    def test_a_child_that_another_holds_is_left_for_later_and_nobody_waits(self, in_thread: Any) -> None:
        parent = submit("tests.noop").id
        child = submit("tests.noop", depends_on=[parent]).id
        services.cancel([parent])
        Task.objects.filter(pk=parent).update(state="succeeded", awaited=True)
        Task.objects.filter(pk=child).update(state="blocked", waits_for=1, finished_at=None, error="")
        Dependency.objects.update(outcome="")
        with transaction.atomic():
            list(Task.objects.select_for_update().filter(pk=child))
            thread = in_thread(services.settle)
            thread.join(5)
            assert not thread.is_alive()
        assert state(child) == "blocked"
        services.settle()
        assert state(child) == "queued"

    def test_a_parent_that_ends_during_a_submission_is_heard_of(self, in_thread: Any, worker_id: int) -> None:
        parent = submit("tests.noop").id
        claimed = lifecycle.claim(["default"], worker_id, 1)
        with transaction.atomic():
            child = submit("tests.noop", depends_on=[parent], queue="low").id
            thread = in_thread(
                lambda: lifecycle.finish([lifecycle.Ended(t, "succeeded", "succeeded", 0.0, 0.1) for t in claimed])
            )
            thread.join(0.3)
            assert thread.is_alive()
        thread.join()
        services.settle()
        assert (state(parent), state(child)) == ("succeeded", "queued")
