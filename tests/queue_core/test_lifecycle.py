"""What the statements write, and what a lost lease can still do (nothing); which verb may move what: test_matrix.py."""

import datetime
import uuid
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from queue_core import lifecycle, services
from queue_core.lifecycle import Claimed, Ended, Failure
from queue_core.models import DeadLetter, DeadLetterGroup, Execution, Result, Task, Worker
from queue_core.services.register_worker import register_worker
from queue_core.services.rescue import rescue
from queue_core.services.submit import Submitted
from queue_core.states import FINAL, TRANSITIONS, DeathReason, Outcome, TaskState

pytestmark = pytest.mark.django_db
LEASE = uuid.uuid4()


def claim(worker_id: int, limit: int = 10, queues: tuple[str, ...] = ("default",)) -> list[Claimed]:
    return sorted(lifecycle.claim(queues, worker_id, limit), key=lambda task: task.id)


def succeeded(task: Claimed, result: str | None = None) -> Ended:
    return Ended(task, TaskState.SUCCEEDED, Outcome.SUCCEEDED, 0.001, 0.002, result=result)


def failed(task: Claimed, error: str = "ValueError: no", mark: str = "f" * 32) -> Ended:
    failure = Failure(error, "builtins.ValueError", "trace", mark, DeathReason.ATTEMPTS)
    return Ended(task, TaskState.FAILED, Outcome.FAILED, 0.001, 0.002, failure=failure)


def in_state(state: TaskState, worker_id: int) -> Task:
    """A task put into a state by hand, held by LEASE when it runs."""
    pk = services.submit("tests.noop").id
    held = state == TaskState.RUNNING
    Task.objects.filter(pk=pk).update(
        state=state,
        attempt=1,
        started_at=timezone.now(),
        lease=LEASE if held else None,
        worker_id=worker_id if held else None,
    )
    return Task.objects.get(pk=pk)


def test_no_verb_of_the_map_leaves_success() -> None:
    left = {state for moves in TRANSITIONS.values() for state in moves}
    assert TaskState.SUCCEEDED not in left
    assert FINAL - left == {TaskState.SUCCEEDED}  # only replay leaves it, by a new row


def test_claim_takes_queues_in_order_then_priority_then_age(worker_id: int) -> None:
    low = services.submit("tests.noop", queue="low", priority=100).id
    old = services.submit("tests.noop").id
    urgent = services.submit("tests.noop", priority=5).id
    high = services.submit("tests.noop", queue="high", priority=-100).id
    services.submit("tests.noop", delay=60)
    order = []
    while batch := claim(worker_id, 1, ("high", "default", "low")):
        order += [task.id for task in batch]
    assert order == [high, urgent, old, low]


def test_claim_takes_no_more_than_the_limit_over_all_queues(worker_id: int) -> None:
    for queue in ("high", "default", "low"):
        services.submit_many([services.build("tests.noop", {}, queue=queue) for _ in range(5)])
    batch = claim(worker_id, 7, ("high", "default", "low"))
    assert sorted(task.queue for task in batch) == ["default"] * 2 + ["high"] * 5


def test_claim_gives_nothing_to_a_worker_that_is_not_alive(worker_id: int, lose: Callable[[int], None]) -> None:
    services.submit("tests.noop")
    lose(worker_id)
    assert claim(worker_id) == []
    assert claim(worker_id + 1_000_000) == []


def test_finish_writes_state_history_and_result_together(worker_id: int) -> None:
    pk = services.submit("tests.add", {"a": 1, "b": 2}).id
    (task,) = claim(worker_id)
    assert lifecycle.finish([succeeded(task, "3")]) == {pk}
    row, attempt = Task.objects.get(pk=pk), Execution.objects.get(task_id=pk)
    assert (row.state, row.lease, row.worker_id) == ("succeeded", None, worker_id)
    assert (attempt.attempt, attempt.outcome, attempt.worker_id) == (1, "succeeded", worker_id)
    assert row.started_at < attempt.started_at < attempt.finished_at
    assert Result.objects.get(task_id=pk).value == 3


def test_finish_of_a_lost_lease_changes_nothing(worker_id: int, lose: Callable[[int], None]) -> None:
    pk = services.submit("tests.noop").id
    (stale,) = claim(worker_id)
    lose(worker_id)
    assert rescue() == {"default"}
    other = register_worker(["default"])
    (fresh,) = claim(other)
    assert lifecycle.finish([succeeded(stale, '"stale"')]) == set()
    assert Task.objects.get(pk=pk).state == "running"
    assert lifecycle.finish([succeeded(fresh, '"fresh"')]) == {pk}
    assert lifecycle.finish([succeeded(fresh, '"again"')]) == set()
    assert Result.objects.get(task_id=pk).value == "fresh"
    history = Execution.objects.filter(task_id=pk).order_by("attempt").values_list("attempt", "outcome", "worker_id")
    assert list(history) == [(1, "lost", worker_id), (2, "succeeded", other)]
    assert Worker.objects.get(pk=worker_id).state == "lost"


def test_release_uses_no_attempt_and_leaves_no_history(worker_id: int) -> None:
    pk = services.submit("tests.noop").id
    (task,) = claim(worker_id)
    assert lifecycle.release([task]) == [pk]
    row = Task.objects.get(pk=pk)
    assert (row.state, row.attempt, row.worker_id) == ("queued", 0, None)
    assert not Execution.objects.exists()


def test_rescue_ends_a_task_that_kills_its_workers(lose: Callable[[int], None]) -> None:
    pk = services.submit("tests.die").id
    for _ in range(2):
        worker = register_worker(["default"])
        assert [task.id for task in claim(worker)] == [pk]
        lose(worker)
        rescue()
    row = Task.objects.get(pk=pk)
    assert (row.state, row.crashes, row.attempt) == ("failed", 2, 2)
    assert Execution.objects.filter(task_id=pk, outcome="lost").count() == 2


def test_rescue_leaves_live_workers_alone(worker_id: int) -> None:
    services.submit("tests.noop")
    claim(worker_id)
    assert rescue() == set()


def test_retry_gives_a_used_up_task_one_more_attempt(worker_id: int) -> None:
    task = in_state(TaskState.FAILED, worker_id)
    Task.objects.filter(pk=task.pk).update(attempt=7, crashes=2, max_attempts=5, max_crashes=2)
    outcome = services.retry([task.pk])
    row = Task.objects.get(pk=task.pk)
    assert (outcome.changed, row.max_attempts, row.max_crashes, row.attempt) == (1, 6, 3, 7)
    assert services.retry([task.pk]).sentence("Retried") == "Retried 0 tasks; 1 was not failed or cancelled."


def test_cancel_counts_what_it_leaves_alone(worker_id: int) -> None:
    waiting, running = in_state(TaskState.QUEUED, worker_id), in_state(TaskState.RUNNING, worker_id)
    outcome = services.cancel([waiting.pk, running.pk])
    assert outcome.sentence("Cancelled") == "Cancelled 1 task; asked 1 running task to end."
    again = services.cancel([waiting.pk, running.pk])
    assert again.sentence("Cancelled") == "Cancelled 0 tasks; 2 were over already, or asked before."
    assert Task.objects.get(pk=running.pk).state == "running"


def test_unpark_takes_what_is_due(worker_id: int) -> None:
    pk = services.submit("tests.noop", delay=60, queue="low").id
    assert lifecycle.unpark(10) == []
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET run_at = now() WHERE id = %s", [pk])
    assert lifecycle.unpark(10) == ["low"]
    assert [task.id for task in claim(worker_id, 10, ("low",))] == [pk]


def test_expired_tasks_are_not_claimed_and_end_expired(worker_id: int) -> None:
    late, parked = services.submit("tests.noop").id, services.submit("tests.noop", delay=60).id
    Task.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    later = services.submit("tests.noop", expires_at=timezone.now() + datetime.timedelta(hours=1)).id
    assert [task.id for task in claim(worker_id)] == [later]
    assert lifecycle.expire(100) == 2
    assert set(Task.objects.filter(state="expired").values_list("pk", flat=True)) == {late, parked}
    assert services.retry([late]).changed == 0


def test_a_failed_task_has_one_open_dead_letter_and_counts_in_its_group(worker_id: int) -> None:
    pks = [services.submit("tests.noop").id for _ in range(3)]
    tasks = claim(worker_id)
    lifecycle.finish([failed(tasks[0]), failed(tasks[1]), failed(tasks[2], "KeyError: x", "e" * 32)])
    assert list(DeadLetter.objects.order_by("pk").values_list("task_id", "reason", "resolution")) == [
        (pk, "attempts", "") for pk in pks
    ]
    groups = {group.fingerprint[0]: (group.open, group.total, group.error) for group in DeadLetterGroup.objects.all()}
    assert groups == {"f": (2, 2, "ValueError: no"), "e": (1, 1, "KeyError: x")}


def test_retry_resolves_the_letter_and_a_new_failure_opens_another(worker_id: int) -> None:
    pk = services.submit("tests.noop").id
    for n in (1, 2):
        lifecycle.finish([failed(claim(worker_id)[0])])
        group = DeadLetterGroup.objects.get()
        assert (group.open, group.total) == (1, n)
        assert services.retry([pk]).changed == 1
        assert DeadLetterGroup.objects.get().open == 0
    assert list(DeadLetter.objects.values_list("resolution", flat=True)) == ["retried", "retried"]


def test_replay_makes_a_new_task_and_keeps_the_old_one(worker_id: int) -> None:
    pk = services.submit("tests.add", {"a": 1}, priority=4, queue="high", tags=["x"], unique_key="k").id
    (task,) = claim(worker_id, 1, ("high",))
    lifecycle.finish([failed(task)])
    made = services.replay([pk], payload={"a": 1, "b": 2})
    old, new = Task.objects.get(pk=pk), Task.objects.get(pk=made[pk])
    assert (old.state, old.payload) == ("failed", {"a": 1})
    assert (new.state, new.payload, new.replay_of) == ("queued", {"a": 1, "b": 2}, pk)
    assert (new.priority, new.queue, new.tags, new.attempt, new.unique_key) == (4, "high", ["x"], 0, "k")
    letter = DeadLetter.objects.get()
    assert (letter.resolution, letter.replay_id) == ("replayed", new.pk)
    assert services.replay([new.pk]) == {}


def test_a_replay_has_the_unique_key_and_is_left_out_while_another_live_task_has_it(worker_id: int) -> None:
    def submit() -> Submitted:
        return services.submit("tests.noop", unique_key="k")

    def run(count: int) -> None:
        lifecycle.finish([failed(task) for task in claim(worker_id, count)])

    older = submit().id
    run(1)
    newer = submit().id
    run(1)
    other = services.submit("tests.noop").id
    run(1)
    made = services.replay([older, newer, other])
    assert made.keys() == {newer, other}, "of two with one key the latest"
    assert submit() == Submitted(made[newer], created=False)
    assert services.replay([newer]) == services.replay([older]) == {}
    letter = DeadLetter.objects.get(task=older)
    assert letter.resolution == ""
    assert services.replay_letters([letter.pk]) == {}
    group = DeadLetterGroup.objects.get()
    assert group.open == 1
    assert "another live task has the unique key" in services.replay_group(group).sentence("Replayed", "letter")
    run(2)
    assert services.replay_letters([letter.pk]).keys() == {older}


def test_what_posthaste_made_itself_is_never_replayed_and_that_is_told(worker_id: int) -> None:
    """Whatever made it knows it by its id: the chunk of a campaign would be mailed by two."""
    pk = services.submit("queue_core.bulk", {"operation": 1}).id
    other = services.submit("tests.noop").id
    lifecycle.finish([failed(task) for task in claim(worker_id)])
    assert services.replay([pk, other]).keys() == {other}
    letter = DeadLetter.objects.get(task=pk)
    assert services.replay_letters([letter.pk]) == {}
    assert services.why_left_letter(letter) == "is open, but its task was made by Posthaste itself: retry that one"
    assert services.why_left(Task.objects.get(pk=pk)) == services.IS_INTERNAL
    done = services.run_bulk(services.start_bulk("replay", ids=[pk]).pk, seconds=60)
    assert (done.changed, done.refusals) == (0, [[pk, f"is {services.IS_INTERNAL}"]])
    assert services.retry([pk]).changed == 1


def test_replaying_letters_twice_replays_once(worker_id: int) -> None:
    pks = [services.submit("tests.noop").id for _ in range(2)]
    lifecycle.finish([failed(task) for task in claim(worker_id)])
    letters = list(DeadLetter.objects.values_list("pk", flat=True))
    assert set(services.replay_letters(letters)) == set(pks)
    assert services.replay_letters(letters) == {}
    assert DeadLetterGroup.objects.get().open == 0


def test_discard_leaves_the_task_failed_and_counts_what_was_resolved(worker_id: int) -> None:
    services.submit("tests.noop")
    lifecycle.finish([failed(claim(worker_id)[0])])
    letter = DeadLetter.objects.get().pk
    assert services.discard([letter]).sentence("Discarded", "letter") == "Discarded 1 letter."
    assert services.discard([letter]).sentence("Discarded", "letter") == "Discarded 0 letters; 1 was resolved already."
    assert Task.objects.get().state == "failed"


def test_a_task_asked_to_end_does_not_go_back_in_line(worker_id: int, lose: Callable[[int], None]) -> None:
    for _ in range(3):
        services.submit("tests.noop")
    retried, done, lost = claim(worker_id)
    services.cancel([retried.id, done.id, lost.id])
    back = failed(retried)
    back.state = TaskState.QUEUED
    lifecycle.finish([back, succeeded(done)])
    lose(worker_id)
    rescue()
    assert list(Task.objects.order_by("pk").values_list("state", flat=True)) == ["cancelled", "succeeded", "cancelled"]
    assert not DeadLetter.objects.exists()
    assert services.retry([retried.id, lost.id]).changed == 2
    assert not Task.objects.filter(state="queued", cancel_requested_at__isnull=False).exists()


def test_a_task_given_back_after_it_was_asked_to_end_is_cancelled(worker_id: int) -> None:
    services.submit("tests.noop")
    batch = claim(worker_id)
    services.cancel([batch[0].id])
    lifecycle.release(batch)
    assert Task.objects.get().state == "cancelled"


def test_retry_lets_one_through_where_a_unique_key_is_taken(worker_id: int) -> None:
    first = services.submit("tests.noop", unique_key="k").id
    services.cancel([first])
    second = services.submit("tests.noop", unique_key="k").id
    assert services.retry([first]).skipped == 1
    services.cancel([second])
    assert services.retry([first, second]).changed == 1
    assert Task.objects.get(pk=second).state == "queued"


def test_retry_forgets_a_time_to_expire_that_is_over(worker_id: int) -> None:
    over = services.submit("tests.noop", expires_at=timezone.now() + datetime.timedelta(seconds=60)).id
    ahead = services.submit("tests.noop", expires_at=timezone.now() + datetime.timedelta(days=1)).id
    services.cancel([over, ahead])
    Task.objects.filter(pk=over).update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert services.retry([over, ahead]).changed == 2
    assert lifecycle.expire(10) == 0
    assert {task.id for task in lifecycle.claim(["default"], worker_id, 5)} == {over, ahead}
    assert Task.objects.get(pk=over).expires_at is None
    assert Task.objects.get(pk=ahead).expires_at is not None
