"""The commands that operate: verbs on tasks and letters, queues, schedules, workflows, bulk operations."""

import io
import json
import sys

import pytest
from django.core.management import CommandError, call_command

from queue_core import services
from queue_core.models import BulkOperation, DeadLetter, Queue, Schedule, Task, TypePolicy, Workflow
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db
MARK = "f" * 32


def told(*words):
    out = io.StringIO()
    call_command(*map(str, words), stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def refused(*words):
    """(exit code, message)"""
    with pytest.raises(CommandError) as raised:
        told(*words)
    return raised.value.returncode, str(raised.value)


def over():
    return make_dead_letters(1)[0].task_id


def waiting(**options):
    return services.submit("tests.noop", **options).id


# --- verbs on ids, and by a search

CASES = [
    ("pin", [], over, "Pinned 1 task.", lambda pk: Task.objects.get(pk=pk).pinned),
    ("delete_tasks", [], over, "Deleted 1 task.", lambda pk: not Task.objects.filter(pk=pk).exists()),
    ("move", ["low"], waiting, "Moved 1 task.", lambda pk: Task.objects.get(pk=pk).queue == "low"),
    ("set_priority", ["-7"], waiting, "Changed 1 task.", lambda pk: Task.objects.get(pk=pk).priority == -7),
]


@pytest.mark.parametrize(("verb", "words", "make", "sentence", "is_done"), CASES)
def test_a_verb_moves_what_it_may_by_ids(verb, words, make, sentence, is_done):
    pk = make()
    assert told(verb, *words, pk) == sentence
    assert is_done(pk)
    code, message = refused(verb, *words, 10**9, "--json")
    assert code == 3, message


@pytest.mark.parametrize(("verb", "words", "make", "sentence", "is_done"), CASES)
def test_and_all_that_match_a_search(verb, words, make, sentence, is_done):
    pk = make()
    query = ["--query", f"id:{pk}"]
    assert "Matches: 1" in told(verb, *words, *query, "--dry-run")
    assert not is_done(pk)
    code, message = refused(verb, *words, *query)
    assert (code, "--yes" in message) == (2, True)
    said = json.loads(told(verb, *words, *query, "--yes", "--json"))
    assert (said["changed"], said["skipped"]) == (1, 0)
    assert is_done(pk)
    assert BulkOperation.objects.get().door == "command"
    assert refused(verb, *words)[0] == 2
    assert refused(verb, *words, pk, *query)[0] == 2


def test_unpin_undoes_a_pin():
    pk = over()
    told("pin", pk)
    assert told("unpin", pk) == "Unpinned 1 task."
    assert refused("unpin", pk) == (3, "Unpinned 0 tasks; 1 was not pinned.")


@pytest.mark.parametrize(
    ("words", "part"), [(("move", "nowhere", "1"), "no queue 'nowhere'"), (("set_priority", "101", "1"), "-100 to 100")]
)
def test_what_a_verb_cannot_take_is_said(words, part):
    code, message = refused(*words)
    assert code == 1
    assert part in message
    code, message = refused(*words[:-1], "--query", "id:>0", "--yes")
    assert code == 1
    assert part in message


def test_dead_letters_are_discarded_by_ids_by_group_and_by_a_search():
    first, second = make_dead_letters(2)
    assert told("discard", first.pk) == "Discarded 1 dead letter."
    assert refused("discard", first.pk, second.pk) == (3, "Discarded 1 dead letter; 1 was resolved already.")
    make_dead_letters(3)
    assert json.loads(told("discard", "--group", MARK, "--json")) == {"discarded": 3, "skipped": 0}
    (last,) = make_dead_letters(1)
    assert f"{last.pk}: tests.add #{last.task_id} (open, in default)" in told(
        "discard", "--query", "reason:attempts", "--dry-run"
    )
    assert "Discarded 1 dead letter." in told("discard", "--query", f"letter:{last.pk}", "--yes")
    assert not DeadLetter.objects.filter(resolution="").exists()
    assert "There is no group" in refused("discard", "--group", "0" * 32)[1]
    assert refused("discard", "1", "--group", MARK)[0] == 2
    assert refused("discard", "--group", MARK, "--yes")[0] == 2


# --- queues and task types


def test_a_queue_is_purged_after_a_question(monkeypatch):
    kept = waiting(queue="low")
    for _ in range(3):
        waiting()
    waiting(delay=3600)
    services.start_bulk("pin", ids=[kept])  # whose own task is passed over
    assert "Matches: 4" in told("purge", "default", "--dry-run")
    assert refused("purge", "default")[0] == 2
    monkeypatch.setattr(sys.modules["queue_core.services.purge_queue"], "PURGE_MAX", 1)
    monkeypatch.setattr(sys.modules["queue_core.services.purge_queue"], "SLICE", 1)
    assert json.loads(told("purge", "default", "--yes", "--json")) == {"cancelled": 4}
    assert set(Task.objects.exclude(state="cancelled").values_list("name", "queue")) == {
        ("tests.noop", "low"),
        ("queue_core.bulk", "default"),
    }
    assert told("purge", "default") == "Cancelled 0 tasks."
    for dry in ((), ("--dry-run",)):
        assert "There is no queue 'no'" in refused("purge", "no", *dry)[1]


def test_a_queue_and_a_task_type_are_limited():
    assert told("limit", "--queue=low", "--max-running=5") == "Queue low: 5 at once, any number in a time."
    assert json.loads(told("limit", "--queue=low", "--rate=100/m", "--json")) == {
        "name": "low",
        "max_running": 5,
        "rate": "100/m",
    }
    told("limit", "--queue=low", "--max-running=none")
    queue = Queue.objects.get(pk="low")
    assert (queue.max_running, queue.rate) == (None, "100/m")
    assert "Task type tests.noop: 2 at once, 5/10s in a time" in told(
        "limit", "--type=tests.noop", "--max-running=2", "--rate=5/10s"
    )
    told("limit", "--type=tests.noop", "--max-running=none", "--rate=none")
    policy = TypePolicy.objects.get(pk="tests.noop")
    assert (policy.max_running, policy.rate_count) == (None, None)


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--queue=low",), 2, "--max-running, --rate, or both"),
        (("--queue=low", "--rate=fast"), 1, "rate: "),
        (("--queue=low", "--max-running=0"), 1, "max_running: "),
        (("--queue=low", "--max-running=many"), 1, "neither a whole number nor none"),
        (("--queue=no", "--rate=1/s"), 1, "no queue 'no'"),
        (("--type=no.such", "--rate=1/s"), 1, "No task is registered"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(words, code, part):
    found, message = refused("limit", *words)
    assert (found, part in message) == (code, True), message


# --- schedules, workflows, bulk operations


def schedule(**values):
    given = {"name": "nightly", "task": "tests.noop", "kind": "interval", "interval_seconds": 3600, **values}
    return services.save_schedule(**given)


def test_schedules_are_listed_paused_resumed_and_run():
    Schedule.objects.all().delete()
    one = schedule()
    assert f"{one.pk:>6}  nightly" in told("schedules")
    assert told("schedules", "pause", one.pk) == "Paused 1 schedule."
    (shown,) = json.loads(told("schedules", "list", "--json"))["schedules"]
    assert (shown["id"], shown["paused"], shown["next_fire_at"]) == (one.pk, True, None)
    assert refused("schedules", "pause", one.pk) == (3, "Paused 0 schedules; 1 was paused already.")
    assert json.loads(told("schedules", "resume", one.pk, "--json")) == {"changed": 1, "skipped": 0}
    assert told("schedules", "run-now", one.pk) == "Ran 1 schedule."
    code, message = refused("schedules", "run-now", one.pk, 10**9)
    assert code == 3
    assert "overlap policy is skip" in message
    assert f"There is no schedule {10**9}" in message
    assert Task.objects.filter(name="tests.noop").count() == 1


def test_workflows_are_listed_cancelled_and_retried():
    one = services.submit_workflow("nightly", [{"name": "tests.noop"}])
    assert "nightly" in told("workflows")
    assert told("workflows", "cancel", one.pk) == "Cancelled 1 workflow."
    services.settle()
    assert json.loads(told("workflows", "--state=running", "--json")) == {"workflows": []}
    (shown,) = json.loads(told("workflows", "--json", "--newest=1"))["workflows"]
    assert (shown["id"], shown["state"], shown["total"]) == (one.pk, "cancelled", 1)
    assert refused("workflows", "cancel", one.pk)[0] == 3
    assert told("workflows", "retry", one.pk) == "Retried 1 workflow."
    assert Workflow.objects.get().state == "running"
    assert "and has no step to retry" in refused("workflows", "retry", one.pk)[1]


def test_bulk_operations_are_listed_and_stopped():
    one = services.start_bulk("pin", ids=[1, 2])
    assert "2 ids (1, 2)" in told("bulk")
    (shown,) = json.loads(told("bulk", "list", "--json"))["operations"]
    assert (shown["id"], shown["state"], shown["matched"]) == (one.pk, "pending", 2)
    assert told("bulk", "stop", one.pk) == "Asked to stop 1 bulk operation."
    code, message = refused("bulk", "stop", one.pk, 10**9)
    assert code == 3
    assert "is stopping" in message
    assert "There is no bulk operation" in message


@pytest.mark.parametrize("command", ["schedules", "workflows", "bulk", "workers"])
def test_a_list_takes_no_ids_and_a_verb_needs_them(command):
    verb = {"schedules": "pause", "workflows": "retry", "bulk": "stop", "workers": "pause"}[command]
    assert refused(command, "list", "1")[0] == 2
    assert refused(command, verb)[0] == 2
