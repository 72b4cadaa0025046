"""Every command, given what it cannot take: an error in words and no other row anywhere."""

import io
from argparse import Action, ArgumentParser
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.db import connection

from queue_core.models import Task
from tests.factories import CampaignFactory, add_recipients

OURS = ("queue_core", "campaigns", "templates_app", "monitoring", "config")
# These run until they are stopped, or start servers; their own tests try their options.
RUNNING = {"worker", "scheduler", "up", "services", "mailcatcher", "example_campaign"}
COMMANDS = sorted(name for name, app in get_commands().items() if isinstance(app, str) and app in OURS)
HOSTILE = [
    "",
    " ",
    "-",
    "nan",
    "inf",
    "-1",
    "1e400",
    "9" * 400,
    "x" * 3_000,
    "\udcff",
    "é\u202e",
    "'; DROP TABLE tasks; --",
    "{}",
    "[[[[",
    "../../etc/passwd",
    "/dev/null",
    "2020-01-01",
]


def parser_of(name: str) -> ArgumentParser:
    app = get_commands()[name]
    assert isinstance(app, str)
    parser: ArgumentParser = load_command_class(app, name).create_parser("manage.py", name)
    return parser


def own(name: str) -> list[Action]:
    """Arguments that take a value, without those that every command of Django has."""
    common = {action.dest for action in parser_of("check")._actions} - {"tags"}
    return [action for action in parser_of(name)._actions if action.dest not in common and action.nargs != 0]


def harmless(name: str) -> list[str]:
    """What has to be given for the command to get as far as the bad option."""
    given = {
        "submit": ["tests.noop"],
        "scale": ["1", "2"],
        "move": ["low"],
        "set_priority": ["5"],
        "limit": ["--queue=low"],
        "schedules": ["list"],
        "workflows": ["list"],
        "bulk": ["list"],
        "import_recipients": ["1", "/dev/null"],
        "import_suppressions": ["/dev/null"],
        "import_templates": ["/nonexistent"],
        "export_suppressions": [],
    }
    return given.get(name, [])


CASES = [
    pytest.param(name, action, value, id=f"{name}-{action.dest}-{number}")
    for name in COMMANDS
    if name not in RUNNING
    for action in own(name)
    for number, value in enumerate(HOSTILE)
]


def snapshot() -> dict[str, str | None]:
    """A fingerprint of every table that holds what people and workers wrote."""
    found: dict[str, str | None] = {}
    with connection.cursor() as cursor:
        for model in apps.get_models():
            table = model._meta.db_table
            if model._meta.app_label in OURS and model._meta.managed:
                cursor.execute(
                    f"SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM \"{table}\" t"
                )
                found[table] = cursor.fetchone()[0]
    return found


def spoken(name: str, words: list[str]) -> str | None:
    """What a command refused with; None when it did not. Anything but words fails the test."""
    try:
        call_command(name, *words, stdout=io.StringIO(), stderr=io.StringIO())
    except CommandError as exc:
        return str(exc)
    except SystemExit as exc:
        return f"exit code {exc.code}" if exc.code else None
    return None


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "action", "value"), CASES)
def test_an_option_that_cannot_be_is_refused_in_words(
    name: str, action: Action, value: str, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)  # what is written, is written here
    add_recipients(CampaignFactory.create(), 2)
    Task.objects.create(name="tests.noop", queue="default")
    before = snapshot()
    words = [f"{action.option_strings[-1]}={value}", *harmless(name)] if action.option_strings else [value]
    refusal = spoken(name, words)
    if refusal is None:
        return  # taken: a text where any text may be
    assert refusal.strip()
    assert snapshot() == before
