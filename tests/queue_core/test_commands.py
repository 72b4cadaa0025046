import datetime
import io
import json
import logging
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.utils import timezone

from queue_core.models import DeadLetter, Task
from queue_core.services import cancel, discard, submit
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db
MARK = "f" * 32


@pytest.fixture
def told(capsys):
    """Run a command; what it wrote to standard output."""

    def run(*words):
        call_command(*map(str, words))
        return capsys.readouterr().out.strip()

    return run


@pytest.fixture
def refused(capsys):
    """Run a command that ends with an error: (exit code, message, standard output)."""

    def run(*words):
        with pytest.raises(CommandError) as raised:
            call_command(*map(str, words))
        return raised.value.returncode, str(raised.value), capsys.readouterr().out.strip()

    return run


# --- lengths of time


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "0", "1e9", "9" * 400, "", "x", "1;2", "٣ s"])
@pytest.mark.parametrize("words", [["prune", "--seconds"], ["worker", "--stop-seconds"]])
def test_no_length_of_time_is_a_wrong_command_line(words, value, refused):
    submit("tests.noop")
    command, option = words
    _, told, out = refused(command, f"{option}={value}")
    assert "is no number of seconds above 0" in told
    assert len(told) < 200
    assert out == ""
    assert Task.objects.get().state == "queued"


@pytest.mark.parametrize("given", ["", ",", " , "])
def test_a_worker_whose_list_of_queues_is_empty_does_not_start(given):
    with pytest.raises(CommandError, match="names none; leave it out to serve all"):
        call_command("worker", f"--queues={given}", "--burst")


# --- submit


def test_submit_makes_the_task_that_was_asked_for(told):
    words = ["tests.add", '{"a": 1, "b": "é"}', "--queue=high", "--priority=-7", "--delay=60", "--unique-key=k"]
    sentence = told("submit", *words)
    task = Task.objects.get()
    assert sentence == f"Submitted tests.add as task {task.pk}."
    assert (task.payload, task.queue, task.priority, task.unique_key) == ({"a": 1, "b": "é"}, "high", -7, "k")
    assert task.shown_state == "scheduled"
    assert json.loads(told("submit", *words, "--json")) == {"id": task.pk, "created": False}
    assert "Nothing new" in told("submit", *words)


def test_submit_takes_times_tags_and_attempts(told):
    words = ["--run-at=2126-01-01T12:00", "--expires-at=2126-01-02T12:00+01:00", "--max-attempts=7", "--tags", "a", "b"]
    told("submit", "tests.noop", *words)
    task = Task.objects.get()
    assert task.run_at == timezone.make_aware(datetime.datetime(2126, 1, 1, 12))  # noqa: DTZ001
    assert task.expires_at == datetime.datetime(2126, 1, 2, 11, tzinfo=datetime.UTC)
    assert (task.max_attempts, task.tags) == (7, ["a", "b"])


def test_submit_leaves_what_is_left_out_to_the_task(told):
    told("submit", "tests.fail")
    task = Task.objects.get()
    assert (task.payload, task.queue, task.priority, task.max_attempts) == ({}, "default", 0, 3)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["os.system"], "No task is registered as 'os.system'. Registered: "),
        (["tests.add", "{'a': 1}"], "Quote it for the shell"),
        (["tests.add", "[1]"], "must be one JSON object"),
        (["tests.add", "[" * 100_000], "nested too deeply"),
        (["tests.add", '{"a":' + "[" * 32 + "]" * 32 + "}"], "nested deeper than 32 levels"),
        (["tests.ad"], "Did you mean tests.add"),
        (["tests.add", "--run-at=tomorrow"], "'tomorrow' is no time such as"),
        (["tests.add", "--expires-at=soon"], "'soon' is no time such as"),
        (["tests.add", "--max-attempts=0"], "max_attempts: "),
        (["tests.add", "--tags", ""], "tags: "),
        (["tests.add", "--delay=1", "--run-at=2126-01-01T00:00"], "give one of them"),
        (["tests.add", '{"a": NaN}'], "payload: "),
        (["tests.add", '{"a": "\\u0000"}'], "payload: "),
        (["tests.add", '{"a": "\udcff"}'], "payload: "),
        (["tests.add", "--queue=nowhere"], "Queues (setting QUEUES): high"),
        (["tests.add", "--priority=101"], "priority: must be a whole number from -100 to 100"),
        (["tests.add", "--priority=x"], "invalid int value"),
        (["tests.add", "--delay=-1"], "delay: "),
        (["tests.add", "--delay=nan"], "delay: "),
        (["tests.add", "--delay=inf"], "delay: "),
        (["tests.add", "--unique-key="], "unique_key: "),
        (["tests.add", "--unique-key=\udcff"], "unique_key: "),
        ([], "required: name"),
    ],
)
def test_submit_says_what_to_correct(refused, words, part):
    code, message, _ = refused("submit", *words)
    assert (code, part in message) == (1, True), message
    assert not Task.objects.exists()


# --- retry, cancel


def test_retry_puts_tasks_back_in_line(told):
    letters = make_dead_letters(2)
    ids = [letter.task_id for letter in letters]
    assert told("retry", *ids) == "Retried 2 tasks."
    assert set(Task.objects.values_list("state", flat=True)) == {"queued"}
    assert set(DeadLetter.objects.values_list("resolution", flat=True)) == {"retried"}


def test_retry_tells_what_it_left_alone_by_its_exit_code(refused):
    (letter,) = make_dead_letters(1)
    waiting = submit("tests.noop").id
    code, message, out = refused("retry", letter.task_id, waiting, 2**63 - 1)
    assert (code, message, out) == (3, "Retried 1 task; 2 were not failed or cancelled.", "")
    code, message, out = refused("retry", waiting, "--json")
    assert (code, json.loads(out)) == (3, {"retried": 0, "skipped": 1})


def test_cancel_stops_tasks_and_asks_running_ones(told, refused):
    waiting, running = submit("tests.noop").id, submit("tests.noop").id
    Task.objects.filter(pk=running).update(state="running", lease=uuid.uuid4())
    assert json.loads(told("cancel", waiting, running, "--json")) == {"cancelled": 1, "asked": 1, "skipped": 0}
    assert Task.objects.get(pk=waiting).state == "cancelled"
    assert refused("cancel", waiting)[:2] == (3, "Cancelled 0 tasks; 1 was over already, or asked before.")


@pytest.mark.parametrize("command", ["retry", "cancel", "replay"])
@pytest.mark.parametrize("bad", ["0", "x", "1.5", "9223372036854775808", "9" * 5000, "٣", "\udcff"])
def test_what_is_no_id_is_refused(refused, command, bad):
    code, message, _ = refused(command, bad)
    assert (code, "give a whole number" in message) == (1, True)


@pytest.mark.parametrize("command", ["retry", "cancel"])
def test_a_verb_needs_an_id(refused, command):
    assert "Give one of these" in refused(command)[1]


# --- replay


def test_replay_runs_tasks_again_as_new_ones(told, refused):
    (letter,) = make_dead_letters(1, {"a": 1})
    waiting = submit("tests.noop").id
    assert told("replay", letter.task_id, "--dry-run") == "Would replay 1 task."
    assert refused("replay", waiting, letter.task_id, "--dry-run")[1] == (
        "Would replay 1 task; 1 was not there, or not over, or another live task has the unique key, or made by "
        "Posthaste itself, which is retried instead."
    )
    assert Task.objects.count() == 2
    assert told("replay", letter.task_id) == "Replayed 1 task."
    assert Task.objects.get(replay_of=letter.task_id).payload == {"a": 1}
    code, _, out = refused("replay", waiting, "--json")
    assert (code, json.loads(out)) == (3, {"replayed": 0, "skipped": 1, "dry_run": False})


def test_replay_of_a_group_runs_what_is_open_of_it(told):
    closed, *_ = make_dead_letters(4)
    discard([closed.pk])
    assert told("replay", "--group", MARK, "--dry-run") == "Would replay 3 tasks."
    assert Task.objects.filter(replay_of__isnull=False).count() == 0
    assert json.loads(told("replay", "--group", MARK, "--json")) == {"replayed": 3, "skipped": 0, "dry_run": False}
    assert Task.objects.filter(replay_of__isnull=False).count() == 3
    assert told("replay", "--group", MARK) == "Replayed 0 tasks."


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "Give one of these"),
        (["1", "--group", MARK], "Give one of these"),
        (["--group", "x"], "32 hexadecimal digits"),
        (["--group", "\udcff"], "32 hexadecimal digits"),
    ],
)
def test_replay_says_what_to_correct(refused, words, part):
    assert part in refused("replay", *words)[1]


def test_replay_of_a_group_there_is_not_names_those_there_are(refused):
    assert refused("replay", "--group", "0" * 32)[1].endswith("The latest: none yet.")
    make_dead_letters(1)
    code, message, _ = refused("replay", "--group", "0" * 32)
    assert (code, f"{MARK}  1 open  tests.add: ValueError: no" in message) == (1, True)


# --- the audit


def test_a_command_leaves_a_line_in_the_log_and_no_entry(told, caplog):
    task_id = submit("tests.noop").id
    with caplog.at_level(logging.INFO, "queue_core.services.audit"):
        told("cancel", task_id)
    assert caplog.messages == [f"task {task_id}: Cancelled 1 task. (command)"]
    assert not LogEntry.objects.exists()
    assert cancel([task_id]).changed == 0


def test_submit_lets_a_task_wait_for_others(db: None) -> None:
    parent = submit("tests.noop").id
    call_command("submit", "tests.noop", f"--depends-on={parent}", "--on-parent-failure=continue", stdout=io.StringIO())
    assert Task.objects.latest("pk").state == "blocked"
    with pytest.raises(CommandError, match="depends_on: there is no task 999999"):
        call_command("submit", "tests.noop", "--depends-on", "999999")
    with pytest.raises(CommandError, match="is not an id: give a whole number"):
        call_command("submit", "tests.noop", "--depends-on", "0")
