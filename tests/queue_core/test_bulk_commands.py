import io
import json
import os
import signal
import sys

import pytest
from django.core.management import CommandError, call_command

from queue_core import services
from queue_core.management import bulk
from queue_core.models import BulkOperation, Task
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(*words, err=None):
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=err or io.StringIO())
    return out.getvalue()


def states():
    return sorted(Task.objects.values_list("state", flat=True))


@pytest.mark.parametrize(
    ("verb", "query", "after"),
    [
        ("retry", "state:failed", ["queued", "queued", "queued"]),
        ("replay", "state:failed", ["failed", "failed", "queued", "queued", "queued"]),
        ("cancel", "state:queued", ["cancelled", "failed", "failed"]),
    ],
)
def test_everything_that_matches_is_worked_on_in_the_foreground(verb, query, after):
    make_dead_letters(2)
    services.submit("tests.noop")
    assert "1 task" in run(verb, "--query", query, "--yes") or verb != "cancel"
    assert states() == after
    made = BulkOperation.objects.get()
    assert (made.state, made.door, made.query) == ("done", "command", query)


def test_a_dry_run_counts_and_changes_nothing():
    newest = make_dead_letters(12)[-1].task_id
    said = run("retry", "--query", "state:failed", "--dry-run")
    assert "Matches: 12" in said
    assert f"#{newest} (failed, in default)" in said
    seen = json.loads(run("retry", "--query", "state:failed", "--dry-run", "--json"))
    assert (seen["matched"], seen["is_exact"], seen["sample"][0]) == (12, True, newest)
    assert not BulkOperation.objects.exists()


def test_without_a_terminal_it_takes_a_yes(monkeypatch):
    make_dead_letters(1)
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(CommandError, match="add --yes to retry them") as raised:
        run("retry", "--query", "state:failed")
    assert raised.value.returncode == 2
    assert not BulkOperation.objects.exists()


@pytest.mark.parametrize(
    ("answer", "state"), [("yes\n", "queued"), ("Y\n", "queued"), ("n\n", "failed"), ("", "failed")]
)
def test_at_a_terminal_it_asks(monkeypatch, answer, state):
    make_dead_letters(1)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    err = Terminal()
    if state == "queued":
        run("retry", "--query", "state:failed", err=err)
        assert "100%" in err.getvalue()
    else:
        with pytest.raises(CommandError, match="Nothing was changed") as raised:
            run("retry", "--query", "state:failed", err=err)
        assert raised.value.returncode == 3
    assert "Retry them?" in err.getvalue()
    assert states() == [state]


def test_what_was_left_alone_is_said_with_reasons():
    make_dead_letters(1)
    services.submit("tests.noop")
    with pytest.raises(CommandError, match="Retried 1 task; 1 was left alone") as raised:
        run("retry", "--query", "id:>0", "--yes")
    assert "1 is queued, not failed or cancelled" in str(raised.value)
    assert raised.value.returncode == 3


def test_a_script_reads_one_object():
    make_dead_letters(2)
    said = json.loads(run("retry", "--query", "state:failed", "--yes", "--json"))
    made = BulkOperation.objects.get()
    assert said == {"operation": made.pk, "state": "done", "changed": 2, "skipped": 0, "dry_run": False}


def test_nothing_that_matches_is_no_error():
    assert "Retried 0 tasks." in run("retry", "--query", "state:failed")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_after_the_slice_it_is_at(monkeypatch, sent):
    make_dead_letters(4)
    monkeypatch.setattr(sys.modules["queue_core.services.run_bulk"], "SLICE", 2)
    monkeypatch.setattr(bulk, "_TURN_SECONDS", 0)
    monkeypatch.setattr(bulk, "_show", lambda *_: os.kill(os.getpid(), sent))
    before = signal.getsignal(sent)
    with pytest.raises(CommandError, match="Retried 2 tasks; stopped on the way") as raised:
        run("retry", "--query", "state:failed", "--yes")
    assert raised.value.returncode == 3
    assert BulkOperation.objects.get().state == "stopped"
    assert states() == ["failed", "failed", "queued", "queued"]
    assert signal.getsignal(sent) is before


@pytest.mark.parametrize(
    ("words", "part", "code"),
    [
        (("retry",), "ids, query", 2),
        (("retry", "1", "--query", "id:1"), "ids, query", 2),
        (("replay", "1", "--query", "id:1"), "ids, group, query", 2),
        (("cancel", "1", "--yes"), "--yes goes with --query", 2),
        (("retry", "1", "--dry-run"), "--dry-run goes with --query", 2),
        (("retry", "--query", " ", "--yes"), "Say what to work on", 1),
        (("retry", "--query", "colour:red", "--yes"), "There is no field 'colour'", 1),
        (("cancel", "--query", "\x00", "--yes"), "no text can hold", 1),
        (("cancel", "--query", "x" * 3000, "--dry-run"), "at most 2000", 1),
    ],
)
def test_a_wrong_line_changes_nothing(words, part, code):
    with pytest.raises(CommandError, match=part) as raised:
        run(*words)
    assert raised.value.returncode == code
    assert not BulkOperation.objects.exists()
