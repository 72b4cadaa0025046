"""Changing, deleting, keeping, exporting and counting tasks."""

import csv
import datetime
import importlib
import io
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from config.api import pagination
from queue_core import lifecycle, services, time_limit
from queue_core.models import DeadLetter, DeadLetterGroup, Execution, Result, Task
from queue_core.services import purge_queue
from queue_core.services.register_worker import register_worker
from queue_core.testing import drain
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db
TASKS = "/api/v1/tasks/"


def rows_of(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


# --- PATCH


def test_a_waiting_task_is_changed(api: APIClient) -> None:
    pk = services.submit("tests.noop").id
    later = (timezone.now() + datetime.timedelta(hours=1)).isoformat()
    changes = {"priority": 9, "queue": "low", "max_attempts": 2, "tags": ["a", "a", "b"], "payload": {"x": 1}}
    answer = api.patch(f"{TASKS}{pk}/", {**changes, "run_at": later})
    assert answer.status_code == 200, answer.content
    assert {name: answer.data[name] for name in changes} == {**changes, "tags": ["a", "b"]}
    task = Task.objects.get(pk=pk)
    assert (task.parked, answer.data["shown_state"]) == (True, "scheduled")
    api.patch(f"{TASKS}{pk}/", {"run_at": timezone.now().isoformat()})
    assert not Task.objects.get(pk=pk).parked
    assert [ran.pk for ran in drain("low")] == [pk]


def test_what_is_not_given_stays(api: APIClient) -> None:
    pk = services.submit("tests.noop", {"x": 1}, delay=60, tags=["a"], priority=3).id
    before = Task.objects.values().get(pk=pk)
    assert api.patch(f"{TASKS}{pk}/", {}).status_code == 200
    assert api.patch(f"{TASKS}{pk}/", {"tags": []}).status_code == 200
    assert Task.objects.values().get(pk=pk) == {**before, "tags": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"priority": 101}, "priority"),
        ({"priority": None}, "priority"),
        ({"queue": "nowhere"}, "queue"),
        ({"run_at": "soon"}, "run_at"),
        ({"run_at": None}, "run_at"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"tags": "a"}, "tags"),
        ({"tags": ["x" * 65]}, "tags.0"),
        ({"payload": {"photo": "x"}}, "payload"),
        ({"payload": []}, "payload"),
        ({"state": "succeeded"}, "state"),
        ({"unique_key": "k"}, "unique_key"),
    ],
)
def test_a_change_that_cannot_be_is_a_400(api: APIClient, body: Any, field: str) -> None:
    pk = services.submit("tests.typed", {"photo": 1}).id
    before = Task.objects.values().get(pk=pk)
    answer = api.patch(f"{TASKS}{pk}/", body)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert Task.objects.values().get(pk=pk) == before


@pytest.mark.parametrize("state", ["running", "succeeded", "failed", "cancelled"])
def test_a_task_that_does_not_wait_is_not_changed(api: APIClient, state: str, worker: int) -> None:
    pk = task_in(state, worker)
    answer = api.patch(f"{TASKS}{pk}/", {"priority": 1})
    assert (answer.status_code, answer.json()["state"]) == (409, state)
    assert Task.objects.get(pk=pk).priority != 1


@pytest.fixture
def worker(db: None) -> int:
    return register_worker(["default"])


def task_in(state: str, worker: int) -> int:
    if state == "failed":
        return make_dead_letters(1)[0].task_id
    pk = services.submit("tests.add", {"a": 1, "b": 2}, priority=50).id
    if state == "running":
        lifecycle.claim(["default"], worker, 1)
    if state == "cancelled":
        services.cancel([pk])
    if state == "succeeded":
        drain()
    return pk


# --- DELETE, pin


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_task_that_is_over_is_deleted_with_what_hangs_on_it(api: APIClient, state: str, worker: int) -> None:
    pk = task_in(state, worker)
    assert api.delete(f"{TASKS}{pk}/").status_code == 204
    assert api.get(f"{TASKS}{pk}/").status_code == 404
    left = [model.objects.filter(task_id=pk).count() for model in (Execution, Result, DeadLetter)]
    assert left == [0, 0, 0]
    assert not DeadLetterGroup.objects.filter(open__gt=0).exists()


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_task_that_is_not_over_is_not_deleted(api: APIClient, state: str, worker: int) -> None:
    pk = task_in(state, worker)
    answer = api.delete(f"{TASKS}{pk}/")
    assert (answer.status_code, answer.json()["state"]) == (409, state)
    assert Task.objects.filter(pk=pk).exists()


def test_a_pinned_task_is_deleted_once_it_is_unpinned(api: APIClient, worker: int) -> None:
    pk = task_in("succeeded", worker)
    api.post(f"{TASKS}{pk}/pin/")
    answer = api.delete(f"{TASKS}{pk}/")
    assert answer.status_code == 409
    assert "unpin it first" in answer.json()["detail"]
    api.post(f"{TASKS}{pk}/unpin/")
    assert api.delete(f"{TASKS}{pk}/").status_code == 204


def test_a_pinned_task_says_so(api: APIClient) -> None:
    pk = services.submit("tests.noop").id
    assert api.post(f"{TASKS}{pk}/pin/").data["pinned"] is True
    assert api.post(f"{TASKS}{pk}/pin/").status_code == 200
    assert api.post(f"{TASKS}{pk}/unpin/").data["pinned"] is False


# --- export


def test_the_export_has_what_the_filter_finds(api: APIClient) -> None:
    hostile = ["=1+1", "+1", "-1", "@x", "\tx", "plain"]
    for key in hostile:
        services.submit("tests.noop", unique_key=key, queue="low", priority=-5, tags=["b"])
    services.submit("tests.noop")
    answer = api.get(f"{TASKS}export/", {"queue": "low"})
    assert answer["Content-Type"].startswith("text/csv")
    heading, *rows = rows_of(answer)
    column = heading.index("unique_key")
    assert [row[column] for row in reversed(rows)] == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "plain"]
    assert {row[heading.index("priority")] for row in rows} == {"-5"}
    assert {row[heading.index("payload")] for row in rows} == {"{}"}
    assert api.get(f"{TASKS}export/", {"queue__in": "low,\x00"}).status_code == 400
    assert api.get(f"{TASKS}export/", {"state": "odd"}).status_code == 400


def test_the_export_tells_keys_payloads_and_workers(api: APIClient) -> None:
    services.submit("tests.typed", {"photo": 1}, key="=acme")
    drain()
    task = Task.objects.get()
    heading, row = rows_of(api.get(f"{TASKS}export/"))
    found = dict(zip(heading, row, strict=True))
    assert (found["key"], found["payload"], found["worker"]) == ("'=acme", '{"photo": 1}', str(task.worker_id or ""))


def test_the_export_goes_on_over_slices(api: APIClient) -> None:
    ids = services.submit_many([services.build("tests.noop", {}) for _ in range(4_500)])
    answer = api.get(f"{TASKS}export/", headers={"Accept": "text/csv"})
    assert [int(row[0]) for row in rows_of(answer)[1:]] == ids[::-1]


def test_an_export_steps_over_wide_gaps_and_ranges_without_a_match(api: APIClient, monkeypatch: Any) -> None:
    module = importlib.import_module("queue_core.services.export_tasks")
    monkeypatch.setattr(module, "_WIDTH", 3)
    monkeypatch.setattr(module, "_SLICE", 2)
    ids = services.submit_many([services.build("tests.noop", {}) for _ in range(20)])
    far = [Task.objects.create(id=pk, name="tests.noop", queue="default").pk for pk in (10**12, 10**15)]
    Task.objects.filter(pk__in=ids[2:15]).update(queue="low")
    with CaptureQueriesContext(connection) as queries:
        found = rows_of(api.get(f"{TASKS}export/", {"queue": "default"}))[1:]
    assert [int(row[0]) for row in found] == [*far[::-1], *ids[:14:-1], *ids[1::-1]]
    assert len(queries) < 40


# --- stats


def test_stats_count_by_state_queue_and_name(api: APIClient) -> None:
    services.submit_many([services.build("tests.noop", {}, queue="low") for _ in range(3)])
    services.submit("tests.sleep", {"seconds": 1}, delay=60)
    drain("low")
    old = services.submit("tests.noop").id
    Task.objects.filter(pk=old).update(created_at=timezone.now() - datetime.timedelta(days=2))
    found = api.get(f"{TASKS}stats/").json()
    assert (found["exact"], found["live_exact"], found["window"]) == (True, True, 86_400.0)
    assert found["states"] == {"succeeded": 3, "queued": 1}
    assert found["queues"] == {"low": 3, "default": 1}
    assert found["names"] == {"tests.noop": 3, "tests.sleep": 1}
    assert found["live"] == {"queued": 2, "running": 0, "blocked": 0}
    assert api.get(f"{TASKS}stats/", {"window": "3d"}).json()["names"]["tests.noop"] == 4


@pytest.mark.parametrize("window", ["", "1", "h", "0h", "99999d", "-1h", "1h ", "٣h"])
def test_a_window_that_is_none_is_a_400(api: APIClient, window: str) -> None:
    assert "window" in api.get(f"{TASKS}stats/", {"window": window}).json()["errors"]


def test_stats_are_estimated_where_counting_takes_too_long(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("queue_core.services.stats")
    services.submit_many([services.build("tests.noop", {}) for _ in range(3)])
    real, calls = module._groups, []

    def slow(window: Any, percent: float) -> Any:
        calls.append(percent)
        if len(calls) == 1:
            raise time_limit.TooSlow
        return real(window, percent)

    monkeypatch.setattr(module, "_groups", slow)
    # All of them, so that none is missed where other tests have left the table large.
    monkeypatch.setattr(module, "_SAMPLED_PAGES", 10**9)
    found = api.get(f"{TASKS}stats/").json()
    assert (found["exact"], found["states"]) == (False, {"queued": 3})


# --- lists that take too long


def test_a_list_that_takes_too_long_is_refused(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    services.submit("tests.noop")
    monkeypatch.setattr(pagination, "_LIST_SECONDS", 0.1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tasks RENAME TO tasks_there")
        columns = ", ".join(field.column for field in Task._meta.concrete_fields if field.column != "name")
        cursor.execute(
            f"CREATE VIEW tasks AS SELECT {columns}, name || coalesce(pg_sleep(1)::text, '') AS name FROM tasks_there"
        )
    answer = api.get(TASKS)
    assert answer.status_code == 400
    assert "takes longer" in str(answer.json()["errors"])


# --- filters


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"tags": "a"}, 1),
        ({"tags": "a,b"}, 1),
        ({"tags": "a,c"}, 0),
        ({"priority__gte": 5}, 1),
        ({"priority__lte": 4}, 2),
        ({"name__startswith": "tests.s"}, 1),
        ({"pinned": "true"}, 1),
        ({"replay_of": 7}, 0),
        ({"state__in": "queued,failed"}, 3),
    ],
)
def test_a_list_is_filtered(api: APIClient, query: Any, count: int) -> None:
    services.submit("tests.noop", tags=["a", "b"])
    services.submit("tests.noop", priority=5)
    services.pin([services.submit("tests.sleep", {"seconds": 1}).id])
    assert len(api.get(TASKS, query).data["results"]) == count


# --- purge


def test_a_queue_is_purged_of_all_that_waits(api: APIClient, worker: int) -> None:
    running = task_in("running", worker)
    services.submit_many([services.build("tests.noop", {}, delay=n % 2 * 60) for n in range(2_500)])
    other = services.submit("tests.noop", queue="low").id
    assert api.post("/api/v1/queues/default/purge/").json() == {"cancelled": 2_500, "more": False}
    assert set(Task.objects.live().values_list("pk", flat=True)) == {running, other}
    assert api.post("/api/v1/queues/nowhere/purge/").status_code == 404


def test_a_purge_says_when_more_is_left(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(purge_queue.__module__)
    monkeypatch.setattr(module, "SLICE", 2)
    monkeypatch.setattr(module, "PURGE_MAX", 4)
    services.submit_many([services.build("tests.noop", {}) for _ in range(5)])
    assert api.post("/api/v1/queues/default/purge/").json() == {"cancelled": 4, "more": True}
    assert api.post("/api/v1/queues/default/purge/").json() == {"cancelled": 1, "more": False}
