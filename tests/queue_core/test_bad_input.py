"""Every verb, given what it cannot take: an error that names the field, and no row of the queue is another."""

import datetime
import inspect
import math
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from queue_core import services
from queue_core.errors import InvalidSubmission, QueueError, shown
from queue_core.models import BulkOperation, DeadLetter, Schedule, Task
from queue_core.services.register_worker import register_worker
from queue_core.services.worker_pool import open_pool
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db
DEEP: Any = []
for _ in range(1000):
    DEEP = [DEEP]
NO_ID = [0, -1, 10**30, 2**63, True, 1.0, math.nan, "1", "", "\x00", "\ud800", None, [1], {}, DEEP]
NO_IDS = [None, 1, True, "12", b"12", "\x00", {1: 2}, math.nan, *([1, bad] for bad in NO_ID)]
NO_WORD = ["", "\x00", "\ud800", "x" * 100_000, 7, True, None, math.nan, [], ["default"], {}, DEEP]
NO_WHOLE = [-(10**30), 10**30, True, 1.5, math.nan, math.inf, "5", "", "\x00", [], {}, DEEP]
NO_TIME = [0, True, "2026-01-01", "\x00", datetime.datetime(2026, 1, 1), datetime.date(2026, 1, 1), [], math.nan]  # noqa: DTZ001 - the point
NO_PAYLOAD = [
    7,
    True,
    "x",
    [],
    ["a"],
    {1: 2},
    {"a": math.nan},
    {"a": "\x00"},
    {"a": "\ud800"},
    {"a": DEEP},
    {"a": "x" * 2**21},
    {"a": object()},
]
# A verb that is given ids, and the name of that argument.
OF_IDS = {
    **dict.fromkeys(("cancel", "cancel_workflow", "delete_schedule", "delete_tasks", "edit_task", "pin"), "ids"),
    **dict.fromkeys(("replay", "retry", "unpin", "pause_schedule", "resume_schedule"), "ids"),
    **dict.fromkeys(("drain_worker", "pause_worker", "resume_worker", "stop_worker"), "ids"),
    **{"discard": "letter_ids", "replay_letters": "letter_ids"},
}
# (verb, arguments, the one that is bad, what cannot be it)
OPTIONS: list[tuple[str, dict[str, Any], str, list[Any]]] = [
    ("edit_task", {"ids": [1]}, "priority", [*NO_WHOLE, 101]),
    ("edit_task", {"ids": [1]}, "max_attempts", [*NO_WHOLE, 0]),
    ("edit_task", {"ids": [1]}, "queue", NO_WORD),
    ("edit_task", {"ids": [1]}, "run_at", NO_TIME),
    ("edit_task", {"ids": [1]}, "tags", [1, "x", {}, [1], [""], ["\x00"], ["x"] * 33]),
    ("edit_task", {"ids": [1]}, "payload", NO_PAYLOAD),
    ("edit_task", {"ids": [1]}, "state", ["succeeded"]),
    ("replay", {"ids": [1]}, "payload", NO_PAYLOAD),
    ("replay_letters", {"letter_ids": [1]}, "payload", NO_PAYLOAD),
    ("pause_queue", {}, "name", NO_WORD),
    ("resume_queue", {}, "name", NO_WORD),
    ("purge_queue", {}, "name", NO_WORD),
    ("limit_queue", {}, "name", NO_WORD),
    ("limit_queue", {"name": "default"}, "max_running", [*NO_WHOLE, 0]),
    ("limit_queue", {"name": "default"}, "rate", ["", "\x00", "1", "0/m", "9" * 5000 + "/m", 7, True, [], {}, DEEP]),
    ("pause_type", {}, "name", NO_WORD),
    ("resume_type", {}, "name", NO_WORD),
    ("limit_type", {}, "name", NO_WORD),
    ("limit_type", {"name": "tests.noop"}, "max_running", [*NO_WHOLE, 0]),
    ("limit_type", {"name": "tests.noop"}, "rate", ["", "\x00", "1", "0/m", 7, True, [], {}, DEEP]),
    ("scale_pool", {"wanted": 3}, "pool_id", NO_ID),
    ("scale_pool", {"pool_id": 1}, "wanted", [*NO_WHOLE, 0, 257]),
    ("stop_bulk", {}, "pk", [*NO_ID, 999_999_999]),
    ("submit", {}, "name", NO_WORD),
    ("submit", {"name": "tests.noop"}, "payload", NO_PAYLOAD),
    ("submit", {"name": "tests.noop"}, "queue", [*NO_WORD[:6], 7]),
    ("submit", {"name": "tests.noop"}, "priority", [*NO_WHOLE, 101]),
    ("submit", {"name": "tests.noop"}, "max_attempts", [*NO_WHOLE, 0]),
    ("submit", {"name": "tests.noop"}, "delay", [-1, 10**30, True, math.nan, math.inf, "5", None, []]),
    ("submit", {"name": "tests.noop"}, "run_at", NO_TIME),
    ("submit", {"name": "tests.noop"}, "expires_at", NO_TIME),
    ("submit", {"name": "tests.noop"}, "unique_key", ["", "\x00", "\ud800", "x" * 201, 7, True, []]),
    ("submit", {"name": "tests.noop"}, "tags", [1, "x", {}, [1], [""], ["\x00"], ["x"] * 33]),
    ("submit", {"name": "tests.noop"}, "depends_on", NO_IDS),
    ("submit", {"name": "tests.noop", "depends_on": [1]}, "on_parent_failure", ["", "no", 7, True, None, [], {}, DEEP]),
    ("submit", {"name": "tests.noop"}, "colour", ["red"]),
    ("preview_bulk", {"verb": "retry"}, "ids", [[], "12", 1, {1: 2}, [1] * 10_001, *([1, bad] for bad in NO_ID)]),
    ("start_bulk", {"verb": "retry"}, "ids", [[], "12", 1, {1: 2}, [1] * 10_001, *([1, bad] for bad in NO_ID)]),
    ("start_bulk", {"verb": "retry"}, "query", ["", " ", "\x00", "no:such", "x" * 100_000, 7, None, []]),
    ("start_bulk", {"query": "state:failed"}, "verb", NO_WORD),
    ("start_bulk", {"query": "state:failed", "verb": "retry"}, "params", [{"x": 1}]),
    ("submit_workflow", {"steps": [{"name": "tests.noop"}]}, "name", [*NO_WORD]),
    (
        "submit_workflow",
        {"name": "w"},
        "steps",
        [
            [],
            {},
            "x",
            None,
            7,
            [1],
            ["x"],
            [{}],
            [{"name": 7}],
            [{"name": "tests.noop", "x": 1}],
            [{"name": "tests.noop", 7: 1}],
            [DEEP],
        ],
    ),
    (
        "submit_batch",
        {},
        "submissions",
        [
            [{"name": "tests.noop"}, {"name": "no"}],
            *([{"name": "tests.noop", option: 1}] for option in ("x", 7, "has_references", "by", "waits_for")),
            *("x", None, 7, {"name": "tests.noop"}, [3], ["x"], [None], [{}], [{"name": 7}], [{"payload": {}}], [DEEP]),
        ],
    ),
    (
        "save_schedule",
        {"name": "s", "task": "tests.noop"},
        "expression",
        ["", "\x00", "x", "* *", "9" * 300, 7, [], "0 0 31 2 *"],
    ),
    ("save_schedule", {"name": "s", "task": "tests.noop"}, "interval_seconds", [0, -1, 10**30, "x", [], math.nan]),
    ("save_schedule", {"name": "s", "interval_seconds": 60}, "task", ["", "\x00", "no", "x" * 300, None]),
    ("save_schedule", {"name": "s", "interval_seconds": 60, "task": "tests.noop"}, "payload", NO_PAYLOAD),
    ("save_schedule", {"name": "s", "interval_seconds": 60, "task": "tests.noop"}, "colour", ["red"]),
]
# These take rows that the caller has read, or nothing a person could get wrong; they are no less than named here.
OTHERS = {
    *("discard_group", "replay_group", "retry_workflow", "run_schedule_now"),  # a row, locked or judged again by them
    *("backlog", "live_pools", "live_workers", "workers", "ping_bell", "stats", "export_tasks", "upcoming"),  # reads
    *("relatives", "workflow_graph", "state_counts", "step_counts", "waiting_reason", "step_payload"),  # reads
    *("hold_reason", "count_types", "task_type", "task_types"),  # reads
    *("why_left", "why_left_letter", "lineage", "durations"),  # reads
    # Of programs elsewhere, behind the fields of the API.
    *("pull_beat", "pull_claim", "pull_complete", "pull_deregister", "pull_fail", "pull_register", "pull_task_beat"),
    "pull_progress",
    *("build", "submit_many"),  # `submit` in two halves
    *("fire_schedules", "forget", "prune", "run_bulk", "settle"),  # the clock's
}


@pytest.fixture(autouse=True)
def _rows(db: None) -> None:
    """Something of everything that a verb could change by mistake."""
    make_dead_letters(1)
    services.submit("tests.noop", delay=60)
    services.submit_workflow("w", [{"name": "tests.noop"}, {"name": "tests.add"}])
    services.save_schedule(name="there", task="tests.noop", interval_seconds=60)
    services.start_bulk("retry", query="state:failed")
    services.limit_queue("default", max_running=3)
    register_worker(["default"])
    open_pool(["default"], 2)
    assert Task.objects.exists() and DeadLetter.objects.exists() and Schedule.objects.exists()  # noqa: PT018
    assert BulkOperation.objects.exists()


def digest() -> dict[str, str]:
    """Of each table of the queue."""
    found = {}
    with connection.cursor() as cursor:
        for model in apps.get_app_config("queue_core").get_models():
            table = model._meta.db_table
            cursor.execute(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t")
            found[table] = cursor.fetchone()[0]
    return found


def complaints(verb: str, given: dict[str, Any], field: str, bad: list[Any]) -> list[str]:
    """What is wrong with how a verb refuses these, all of them at once."""
    wrong, before = [], digest()
    for value in bad:
        call = f"{verb}({field}={shown(value)})"
        try:
            getattr(services, verb)(**given, **{field: value})
        except QueueError as exc:
            if not str(exc).strip() or len(str(exc)) > 200_000:
                wrong.append(f"{call}: said {str(exc)[:60]!r}")
        except Exception as exc:
            wrong.append(f"{call}: {type(exc).__name__}: {str(exc)[:80]}")
            if connection.needs_rollback:
                return wrong
        else:
            wrong.append(f"{call}: was taken")
    if digest() != before:
        wrong.append(f"{verb}({field}=…) changed rows")
    return wrong


@pytest.mark.parametrize(("verb", "field"), OF_IDS.items())
def test_what_is_no_list_of_ids_is_refused(verb: str, field: str) -> None:
    assert complaints(verb, {}, field, NO_IDS) == []


@pytest.mark.parametrize("verb", OF_IDS)
def test_no_ids_and_ids_of_nobody_change_nothing(verb: str) -> None:
    before = digest()
    for none in ([], [999_999_999], [2**63 - 1] * 3):
        more = {"priority": 1} if verb == "edit_task" else {}
        getattr(services, verb)(none, **more)
    assert digest() == before


@pytest.mark.parametrize(("verb", "given", "field", "bad"), OPTIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_value_that_cannot_be_is_refused(verb: str, given: dict[str, Any], field: str, bad: list[Any]) -> None:
    assert complaints(verb, given, field, bad) == []


def test_every_verb_is_tried() -> None:
    verbs = {name for name in services.__all__ if inspect.isfunction(getattr(services, name))}
    assert verbs == set(OF_IDS) | {verb for verb, *_ in OPTIONS} | OTHERS


@pytest.mark.django_db
def test_many_are_submitted_as_build_makes_them() -> None:
    before = Task.objects.count()
    with pytest.raises(InvalidSubmission, match="are made by build"):
        services.submit_many(["tests.noop"])  # type: ignore[list-item]
    assert Task.objects.count() == before
