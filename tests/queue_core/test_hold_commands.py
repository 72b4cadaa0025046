"""manage.py pause and resume."""

import json

import pytest
from django.core.management import CommandError, call_command

from queue_core.models import Queue, Task, TypePolicy

pytestmark = pytest.mark.django_db


def test_a_queue_is_paused_and_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("pause", queue="low")
    assert Queue.objects.get(pk="low").paused_at
    call_command("resume", queue="low")
    assert Queue.objects.get(pk="low").paused_at is None
    assert capsys.readouterr().out == "Paused the queue low.\nResumed the queue low.\n"


def test_a_task_type_is_paused_and_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("pause", type="tests.noop", json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "tests.noop"
    assert told["paused_at"] == TypePolicy.objects.get(pk="tests.noop").paused_at.isoformat()
    call_command("resume", type="tests.noop")
    assert capsys.readouterr().out == "Resumed the task type tests.noop.\n"


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (("--queue=no",), "There is no queue 'no'"),
        (("--type=no.such",), "No task is registered as 'no.such'"),
        (("--type=",), "No task is registered as ''"),
        ((), "one of the arguments --queue --type is required"),
        (("--queue=low", "--type=tests.noop"), "not allowed with argument"),
    ],
)
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_not_there_is_said(verb: str, named: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        call_command(verb, *named)
    assert not Queue.objects.exists()
    assert not TypePolicy.objects.exists()


def test_a_task_is_submitted_with_a_key() -> None:
    call_command("submit", "tests.noop", key="acme")
    assert Task.objects.get().key == "acme"
