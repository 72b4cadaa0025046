import datetime
import importlib
import itertools
import resource
import threading
import time
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from queue_core import bulk, services
from queue_core.errors import QueueError
from queue_core.models import BulkOperation, DeadLetter, Task
from queue_core.services import Actor, run_bulk
from queue_core.services.end_forsaken import end_forsaken
from queue_core.services.register_worker import register_worker
from queue_core.states import TaskState
from queue_core.testing import drain
from queue_core.texts import ids_shown
from tests.factories import UserFactory, make_dead_letters

pytestmark = pytest.mark.django_db
TABLE = "queue_core.task"
# The modules, whose names their verbs have taken.
RUNNING = importlib.import_module("queue_core.services.run_bulk")
PREVIEW = importlib.import_module("queue_core.services.preview_bulk")


def make(state="failed", **values):
    lease = uuid.uuid4() if state == "running" else None
    return Task.objects.create(
        **{"name": "tests.noop", "queue": "default", "state": state, "lease": lease, **values}
    ).pk


def insert(n):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tasks (name, queue, state, payload) SELECT 'tests.noop', 'default', 'failed', '{}'"
            " FROM generate_series(1, %s)",
            [n],
        )


def states():
    return list(Task.objects.order_by("pk").values_list("state", flat=True))


def run(verb, query="id:>0", **selection):
    made = services.start_bulk(verb, query=query, **selection)
    return run_bulk(made.pk, seconds=60)


# --- the verbs, and what each refuses

ALL = [*TaskState.values]
VERBS = {
    "retry": ({"failed", "cancelled"}, {}),
    "replay": ({"succeeded", "failed", "cancelled", "expired"}, {}),
    "cancel": ({"blocked", "queued", "running"}, {}),
    "delete": ({"succeeded", "failed", "cancelled", "expired"}, {}),
    "set_priority": ({"blocked", "queued"}, {"priority": 7}),
    "move": ({"blocked", "queued"}, {"queue": "low"}),
    "pin": (set(ALL), {}),
    "unpin": (set(), {}),
}


def test_the_verbs_of_tasks_are_these():
    assert {verb.name for verb in bulk.verbs(TABLE)} == set(VERBS)
    assert {verb.name for verb in bulk.verbs("queue_core.deadletter")} == {"replay", "discard"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_changes_what_it_may_and_says_why_not_the_rest(verb):
    made = {state: make(state) for state in ALL}
    changes, params = VERBS[verb]
    done = run(verb, params=params)
    assert (done.state, done.seen, done.changed) == ("done", len(ALL), len(changes))
    assert {pk for pk, _ in done.refusals} == {pk for state, pk in made.items() if state not in changes}
    assert all(reason for _, reason in done.refusals)
    assert done.skipped == len(done.refusals)
    after = {task.pk: task for task in Task.objects.filter(pk__in=made.values())}
    for state in ALL:
        task = after.get(made[state])
        effect = {
            "retry": task and task.state == "queued" and state != "queued",
            "replay": Task.objects.filter(replay_of=made[state]).exists(),
            "cancel": task and ((task.state == "cancelled" and state != "cancelled") or task.cancel_requested_at),
            "delete": task is None,
            "set_priority": task and task.priority == 7,
            "move": task and task.queue == "low",
            "pin": task and task.pinned,
            "unpin": False,
        }[verb]
        assert bool(effect) is (state in changes), state


def test_refusals_say_what_is_in_the_way():
    live = make("queued", unique_key="k")
    taken, pinned, gone = make("failed", unique_key="k"), make("succeeded", pinned=True), 10**9
    assert run("retry", "", ids=[taken, live, gone]).refusals == [
        [live, "is queued, not failed or cancelled"],
        [taken, "its unique key belongs to a task that waits or runs"],
        [gone, "is not there"],
    ]
    assert run("delete", f"id:{pinned}").refusals == [[pinned, "is pinned: unpin it first"]]
    assert run("move", f"id:{live}", params={"queue": "default"}).refusals == [[live, "is there already"]]


def test_what_waits_for_a_cancelled_task_hears_of_it(django_capture_on_commit_callbacks):
    parent = services.submit("tests.noop").id
    child = services.submit("tests.noop", depends_on=[parent]).id
    with django_capture_on_commit_callbacks(execute=True):
        run("cancel", f"id:{parent}")
    assert Task.objects.get(pk=child).state == "cancelled"


def test_refusals_are_kept_up_to_a_thousand(monkeypatch):
    monkeypatch.setattr(RUNNING, "_REFUSALS_MAX", 3)
    for _ in range(5):
        make("queued")
    done = run("retry")
    assert (len(done.refusals), done.skipped) == (3, 5)


def test_dead_letters_are_replayed_and_discarded_by_a_search_of_their_tasks():
    letters = [*make_dead_letters(3), *make_dead_letters(2, queue_name="mail")]
    done = run("discard", "queue:mail", target="queue_core.deadletter")
    assert (done.changed, DeadLetter.objects.filter(resolution="discarded").count()) == (2, 2)
    done = run("replay", "", ids=[letter.pk for letter in letters], target="queue_core.deadletter")
    assert (done.changed, done.skipped) == (3, 2)
    assert Task.objects.filter(replay_of__isnull=False).count() == 3


def test_replays_whose_unique_key_is_live_again_are_left_out_with_the_reason_and_their_letters_stay_open():
    letters = make_dead_letters(2)
    Task.objects.filter(pk=letters[0].task_id).update(unique_key="k")
    services.submit(letters[0].name, {"a": 1, "b": 2}, unique_key="k")
    why = "its unique key belongs to a task that waits or runs"
    done = run("replay", "", ids=[letter.pk for letter in letters], target="queue_core.deadletter")
    assert (done.changed, done.refusals) == (1, [[letters[0].pk, why]])
    assert list(DeadLetter.objects.filter(resolution="")) == [letters[0]]
    done = run("replay", "", ids=[letter.task_id for letter in letters])
    assert (done.changed, done.refusals) == (1, [[letters[0].task_id, why]])


def test_a_verb_that_cannot_be_done_at_all_counts_its_rows_as_failed():
    make(), make()
    made = services.start_bulk("move", query="state:failed", params={"queue": "low"})

    @bulk.bulk_verb("explode", bulk.get(TABLE, "move").target, permission="x.y", done="Exploded")
    def explode(ids, params, user):
        raise QueueError("no dynamite")

    try:
        BulkOperation.objects.filter(pk=made.pk).update(verb="explode")
        done = run_bulk(made.pk, seconds=60)
    finally:
        del bulk._verbs[TABLE, "explode"]
    assert (done.state, done.failed, done.skipped, done.refusals[0][1]) == ("done", 2, 0, "no dynamite")


# --- what it works on


def test_the_dry_run_counts_and_shows_the_newest_and_changes_nothing(monkeypatch):
    made = [make() for _ in range(12)]
    make("queued")
    preview = services.preview_bulk("retry", query="state:failed")
    assert (preview.count, preview.is_exact, [task.pk for task in preview.sample]) == (12, True, made[:1:-1])
    monkeypatch.setattr(PREVIEW, "_COUNT_MAX", 5)
    preview = services.preview_bulk("retry", query="state:failed")
    assert (preview.count, preview.is_exact, preview.shown_count) == (5, False, "at least 5")
    assert states().count("failed") == 12
    assert not BulkOperation.objects.exists()


def test_what_is_made_after_the_start_is_left_alone_and_what_changed_is_not_found():
    first, second = make(), make()
    made = services.start_bulk("replay", query="state:failed")
    services.retry([second])
    later = make()
    done = run_bulk(made.pk, seconds=60)
    assert (done.matched, done.changed, done.skipped) == (2, 1, 0)
    assert list(Task.objects.filter(replay_of__isnull=False).values_list("replay_of", flat=True)) == [first]
    assert Task.objects.get(pk=later).state == "failed"


def test_an_age_does_not_grow_while_it_is_worked_on():
    old = make()
    made = services.start_bulk("retry", query="age:<1h")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET created_at = created_at - interval '50 min'")
        cursor.execute("UPDATE bulk_operations SET created_at = created_at - interval '50 min'")
    assert run_bulk(made.pk, seconds=60).changed == 1
    assert Task.objects.get(pk=old).state == "queued"


def test_wide_gaps_between_ids_are_stepped_over():
    far = [make(id=pk) for pk in (10**12, 10**15, 2 * 10**15)]
    began = time.monotonic()
    assert run("retry").changed == len(far)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("verb", "selection", "field", "part"),
    [
        ("explode", {"query": "id:1"}, "verb", "there are retry, replay, cancel"),
        ("retry", {}, "q", "Say what to work on"),
        ("retry", {"query": "colour:x"}, "q", "There is no field"),
        ("retry", {"query": "id:1", "ids": [1]}, "q", "not both"),
        ("retry", {"ids": []}, "ids", "1 to 10000"),
        ("retry", {"ids": [0]}, "ids", "from 1 on"),
        ("retry", {"ids": [2**63]}, "ids", "from 1 on"),
        ("retry", {"ids": [1] * 10_001}, "ids", "1 to 10000"),
        ("retry", {"ids": [1], "params": {"x": 1}}, "params", "takes none"),
        ("set_priority", {"ids": [1]}, "params", '"params": {"priority": …} with nothing else'),
        ("set_priority", {"ids": [1], "params": {"priority": 101}}, "params", "priority: .*-100 to 100"),
        ("set_priority", {"ids": [1], "params": {"priority": "5"}}, "params", "whole number"),
        ("move", {"ids": [1], "params": {"queue": ["low"]}}, "params", "There is no queue"),
        ("move", {"ids": [1], "params": {"queue": "nowhere"}}, "params", "There is no queue"),
    ],
)
def test_what_cannot_be_begun_says_why(verb, selection, field, part):
    with pytest.raises(QueueError, match=part) as raised:
        services.start_bulk(verb, **selection)
    assert raised.value.field == field
    assert not BulkOperation.objects.exists()


# --- who may


def test_every_verb_needs_its_permission():
    make()
    for verb in bulk.verbs(TABLE):
        viewer = Actor(UserFactory(permissions=["view_task"]), "api")
        with pytest.raises(PermissionDenied, match=verb.permission):
            services.start_bulk(verb.name, query="id:1", params=VERBS[verb.name][1], by=viewer)
        codename = verb.permission.partition(".")[2]
        allowed = Actor(UserFactory(permissions=[codename]), "api")
        assert services.start_bulk(verb.name, query="id:1", params=VERBS[verb.name][1], by=allowed)


@pytest.mark.parametrize("loss", ["permission", "activity", "account"])
def test_who_may_no_longer_is_heard_at_the_next_slice(loss, monkeypatch):
    monkeypatch.setattr(RUNNING, "SLICE", 1)
    make(), make()
    user = UserFactory(username="ada", permissions=["change_task"])
    made = services.start_bulk("retry", query="state:failed", by=Actor(user, "api"))
    assert run_bulk(made.pk, seconds=0).changed == 1
    if loss == "permission":
        user.user_permissions.clear()
    elif loss == "activity":
        type(user).objects.update(is_active=False)
    else:
        user.delete()
    done = run_bulk(made.pk, seconds=60)
    assert (done.state, done.changed) == ("failed", 1)
    assert "lacks the permission queue_core.change_task now" in done.error


def test_the_entry_of_the_audit_says_in_the_end_what_was_done():
    waiting = [make(), make("queued")][1]
    user = UserFactory(permissions=["change_task"])
    made = services.start_bulk("retry", query="id:>0", by=Actor(user, "api"))
    assert LogEntry.objects.get().change_message == "Asked to retry all tasks that match id:>0: 2. (api)"
    run_bulk(made.pk, seconds=60)
    said = f"Retried 1 task; 1 was left alone. Asked for: id:>0. Left alone: 1 id ({waiting}). (api)"
    assert LogEntry.objects.get().change_message == said


def test_the_audit_names_the_ids_that_were_asked_for_and_those_left_alone():
    over, waiting = make(), make("queued")
    user = Actor(UserFactory(permissions=["delete_task"]), "api")
    made = services.start_bulk("delete", ids=[waiting, over], by=user)
    both = f"2 ids ({over}, {waiting})"
    assert LogEntry.objects.get().change_message == f"Asked to delete tasks by {both}: 2. (api)"
    run_bulk(made.pk, seconds=60)
    said = f"Deleted 1 task; 1 was left alone. Asked for: {both}. Left alone: 1 id ({waiting}). (api)"
    assert LogEntry.objects.get().change_message == said


def test_of_many_ids_the_first_are_named():
    made = services.start_bulk("pin", ids=list(range(1, 131)))
    assert made.scope == "130 ids (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)"
    assert BulkOperation.objects.for_list().get().scope == made.scope
    short = services.start_bulk("pin", ids=[7])
    assert BulkOperation.objects.for_list().get(pk=short.pk).scope == short.scope == "1 id (7)"
    assert ids_shown(range(1, 131)).endswith("99, 100, …)")


# --- how it goes on


def test_it_runs_as_tasks_of_the_queue_that_take_turns(monkeypatch):
    monkeypatch.setattr(RUNNING, "SLICE", 2)
    ticks = itertools.count()
    monkeypatch.setattr(RUNNING.time, "monotonic", lambda: float(next(ticks)) * 2)
    for _ in range(9):
        make("cancelled")
    made = services.start_bulk("delete", query="state:cancelled")
    ran = drain()
    made.refresh_from_db()
    assert (made.state, made.changed, made.progress) == ("done", 9, 1.0)
    (task,) = [task for task in ran if task.name == "queue_core.bulk"]
    assert (task.state, task.attempt) == ("succeeded", 1)


def test_stop_is_heard_at_the_next_slice(monkeypatch):
    monkeypatch.setattr(RUNNING, "SLICE", 2)
    for _ in range(6):
        make()
    made = services.start_bulk("retry", query="state:failed")
    run_bulk(made.pk, seconds=0)
    assert services.stop_bulk(made.pk).state == "stopping"
    with pytest.raises(services.BulkOver, match="is stopping"):
        services.stop_bulk(made.pk)
    done = run_bulk(made.pk, seconds=60)
    assert (done.state, done.changed, states().count("failed")) == ("stopped", 2, 4)
    assert run_bulk(made.pk, seconds=60).changed == 2


def test_what_nobody_works_at_any_more_is_stopped_at_once():
    make()
    made = services.start_bulk("retry", query="state:failed")
    BulkOperation.objects.update(created_at=made.created_at - datetime.timedelta(hours=1))
    assert services.stop_bulk(made.pk).state == "stopped"


def made_long_ago(made):
    BulkOperation.objects.filter(pk=made.pk).update(created_at=made.created_at - datetime.timedelta(hours=1))


def test_what_lost_its_task_ends_and_says_so():
    make()
    made, other = (services.start_bulk("retry", query="state:failed") for _ in range(2))
    made_long_ago(made)
    made_long_ago(other)
    assert end_forsaken() == 0
    services.cancel([Task.objects.get(unique_key=str(made.pk)).pk])
    assert end_forsaken() == 1
    made.refresh_from_db()
    other.refresh_from_db()
    assert (made.state, other.state) == ("failed", "pending")
    assert "its task was cancelled or failed" in made.error


def test_what_has_just_begun_is_left_alone():
    make()
    made = services.start_bulk("retry", query="state:failed", in_background=False)
    assert end_forsaken() == 0
    made_long_ago(made)
    assert end_forsaken() == 1


def test_a_purge_leaves_what_drives_bulk_operations():
    services.submit("tests.noop", {})
    services.start_bulk("cancel", query="name:tests.noop")
    assert services.purge_queue("default").changed == 1
    assert Task.objects.get(name="queue_core.bulk").state == "queued"


def test_while_its_queue_is_paused_it_goes_by_another_that_workers_serve():
    services.submit("tests.noop", {})
    services.pause_queue("default")
    services.start_bulk("cancel", query="name:tests.noop")
    register_worker(["default", "low"])
    services.start_bulk("cancel", query="name:tests.noop")
    queues = Task.objects.filter(name="queue_core.bulk").order_by("pk").values_list("queue", flat=True)
    assert list(queues) == ["default", "low"]


def test_a_slice_that_breaks_leaves_nothing_half_done(monkeypatch):
    monkeypatch.setattr(RUNNING, "SLICE", 2)
    made_tasks = [make() for _ in range(4)]
    made = services.start_bulk("replay", query="state:failed")
    run_bulk(made.pk, seconds=0)
    with monkeypatch.context() as broken:
        broken.setattr(RUNNING, "_count", None)
        with pytest.raises(TypeError):
            run_bulk(made.pk, seconds=60)
    assert Task.objects.filter(replay_of__isnull=False).count() == 2
    run_bulk(made.pk, seconds=60)
    assert sorted(Task.objects.filter(replay_of__isnull=False).values_list("replay_of", flat=True)) == made_tasks


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_one_operation_take_turns(in_thread, monkeypatch):
    monkeypatch.setattr(RUNNING, "SLICE", 10)
    insert(400)
    made = services.start_bulk("replay", query="state:failed")
    barrier = threading.Barrier(2)
    threads = [in_thread(lambda: (barrier.wait(), run_bulk(made.pk, seconds=60))) for _ in range(2)]
    for thread in threads:
        thread.join(60)
    made.refresh_from_db()
    assert (made.state, made.changed, made.seen) == ("done", 400, 400)
    assert Task.objects.filter(replay_of__isnull=False).count() == 400


@pytest.mark.django_db(transaction=True)
def test_fifty_thousand_rows_hold_no_lock_for_long_and_little_memory():
    insert(50_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = services.start_bulk("retry", query="state:failed")
    longest, began = 0.0, time.monotonic()
    while not made.is_over:
        at = time.monotonic()
        made = run_bulk(made.pk, seconds=0)
        longest = max(longest, time.monotonic() - at)
    assert (made.changed, states().count("failed")) == (50_000, 0)
    print(f"50 000 in {time.monotonic() - began:.1f} s, the longest slice {longest * 1000:.0f} ms")  # noqa: T201
    assert longest < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_nothing_is_begun_when_its_transaction_is_undone():
    make()
    with transaction.atomic():
        services.start_bulk("retry", query="state:failed")
        transaction.set_rollback(True)
    assert not Task.objects.filter(name="queue_core.bulk").exists()
