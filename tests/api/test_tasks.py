from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.http import QueryDict

from queue_core import services
from queue_core.api.filters import TaskFilter
from queue_core.models import Execution, Result, Task
from queue_core.services import cancel, submit
from queue_core.services.register_worker import register_worker

pytestmark = pytest.mark.django_db
TASKS = "/api/v1/tasks/"
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def put_into(task_id: int, state: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tasks SET state = %s, lease = CASE WHEN %s = 'running' THEN gen_random_uuid() END WHERE id = %s",
            [state, state, task_id],
        )


def test_submit_answers_with_the_task(api):
    body = {
        "name": "tests.add",
        "payload": {"a": 1, "b": [None, {"c": "é"}]},
        "queue": "high",
        "priority": -5,
        "run_at": "2100-01-01T00:00:00Z",
        "max_attempts": 2,
        "unique_key": " k ",
        "expires_at": "2100-01-02T00:00:00Z",
        "tags": ["a", "b"],
    }
    answer = api.post(TASKS, body)
    assert answer.status_code == 201
    assert {key: answer.json()[key] for key in body} == body
    assert (answer.data["state"], answer.data["shown_state"], answer.data["attempt"]) == ("queued", "scheduled", 0)
    assert api.get(f"{TASKS}{answer.data['id']}/").data == answer.data


def test_submit_takes_what_is_left_out_or_null_from_the_registered_task(api):
    given = dict.fromkeys(("queue", "priority", "run_at", "max_attempts", "unique_key"))
    for body in ({}, given):
        task = api.post(TASKS, {"name": "tests.fail", **body}).data
        assert (task["queue"], task["priority"], task["max_attempts"], task["payload"]) == ("default", 0, 3, {})
        assert task["unique_key"] is None


def test_submit_answers_the_live_task_of_a_unique_key_until_it_ends(api):
    body = {"name": "tests.noop", "unique_key": "k"}
    first, second = api.post(TASKS, body), api.post(TASKS, {**body, "payload": {"other": 1}})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.data == second.data
    cancel([first.data["id"]])
    assert api.post(TASKS, body).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": ["tests.noop"]}, "name"),
        ({"name": {"a": 1}}, "name"),
        ({"name": "os.system"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"queue": "nowhere"}, "queue"),
        ({"queue": []}, "queue"),
        ({"payload": []}, "payload"),
        ({"payload": None}, "payload"),
        ({"payload": "{}"}, "payload"),
        ({"payload": 0}, "payload"),
        ({"payload": {"a": "x" * 1024 * 1024}}, "payload"),
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"priority": {}}, "priority"),
        ({"run_at": "tomorrow"}, "run_at"),
        ({"run_at": 5}, "run_at"),
        ({"run_at": "2026-02-30T00:00:00Z"}, "run_at"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "run_at"),
        ({"run_at": []}, "run_at"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 1001}, "max_attempts"),
        ({"unique_key": ""}, "unique_key"),
        ({"unique_key": "x" * 201}, "unique_key"),
        ({"unique_key": {}}, "unique_key"),
        ({"expires_at": "never"}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"tags": "a"}, "tags"),
        ({"tags": ["x"] * 33}, "tags"),
        ({"tags": ["x" * 65]}, "tags.0"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_submit_refuses(api, body, field):
    answer = api.post(TASKS, {"name": "tests.noop", **body} if body else {})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert not Task.objects.exists()


def test_submit_takes_a_form(api):
    answer = api.post(TASKS, {"name": "tests.noop", "payload.a": "1"}, format="multipart")
    assert (answer.status_code, answer.data["payload"]) == (201, {"a": "1"})


def test_batch_answers_ids_in_order(api):
    tasks = [{"name": "tests.add", "payload": {"a": n, "b": 0}, "priority": n % 3} for n in range(50)]
    answer = api.post(f"{TASKS}batch/", {"tasks": tasks})
    assert (answer.status_code, answer.data["created"]) == (201, 50)
    stored = Task.objects.in_bulk(answer.data["ids"])
    assert [stored[pk].payload["a"] for pk in answer.data["ids"]] == list(range(50))


def test_batch_answers_live_tasks_of_unique_keys_in_their_place(api):
    there = submit("tests.noop", unique_key="k1").id
    keys = ["k2", None, "k1", None, "k2", "k3"]
    answer = api.post(f"{TASKS}batch/", {"tasks": [{"name": "tests.noop", "unique_key": key} for key in keys]})
    ids = answer.data["ids"]
    assert ids[2] == there
    assert ids[0] == ids[4]
    assert len(set(ids)) == 5
    assert [Task.objects.get(pk=pk).unique_key for pk in ids] == keys
    assert answer.data["created"] == 4


def test_batch_keeps_equal_unique_keys_of_different_tasks_apart(api):
    tasks = [{"name": name, "unique_key": "k"} for name in ("tests.noop", "tests.add")]
    ids = api.post(f"{TASKS}batch/", {"tasks": tasks}).data["ids"]
    assert [Task.objects.get(pk=pk).name for pk in ids] == ["tests.noop", "tests.add"]


@pytest.mark.parametrize(
    ("items", "fields"),
    [
        ([{"name": "tests.noop"}, {"name": "no"}, {"name": "tests.noop", "queue": "no"}], ["1.name", "2.queue"]),
        ([{"name": "tests.noop"}, {"name": "tests.noop", "priority": 200}], ["1.priority"]),
        ([{"name": "tests.noop"}, 7], ["1.non_field_errors"]),
        ([{"name": "tests.noop"}, {}], ["1.name"]),
        ([{"name": "tests.noop", "payload": {"a": "x" * 1024 * 1024}}], ["0.payload"]),
    ],
)
def test_batch_refuses_all_for_one_and_names_its_place(api, items, fields):
    answer = api.post(f"{TASKS}batch/", {"tasks": items})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [f"tasks.{field}" for field in fields]
    assert not Task.objects.exists()


@pytest.mark.parametrize("body", [{}, {"tasks": []}, {"tasks": {}}, {"tasks": None}, {"tasks": "x"}, [], {"x": []}])
def test_batch_refuses_what_is_no_list_of_tasks(api, body):
    assert api.post(f"{TASKS}batch/", body).status_code == 400


def test_batch_takes_ten_thousand_and_not_one_more(api):
    tasks = [{"name": "tests.noop"}] * 10_000
    assert len(api.post(f"{TASKS}batch/", {"tasks": tasks}).data["ids"]) == 10_000
    assert api.post(f"{TASKS}batch/", {"tasks": [*tasks, tasks[0]]}).status_code == 400


@pytest.mark.parametrize(("verb", "state"), [("retry", "failed"), ("retry", "cancelled"), ("cancel", "queued")])
def test_a_verb_answers_with_the_task_it_moved(api, verb, state):
    task_id = submit("tests.noop").id
    put_into(task_id, state)
    answer = api.post(f"{TASKS}{task_id}/{verb}/")
    assert (answer.status_code, answer.data["id"]) == (200, task_id)
    assert answer.data["state"] == {"retry": "queued", "cancel": "cancelled"}[verb]


@pytest.mark.parametrize(
    ("verb", "state"),
    [("retry", "queued"), ("retry", "running"), ("retry", "succeeded"), ("cancel", "succeeded"), ("cancel", "failed")],
)
def test_a_verb_in_the_wrong_state_is_a_409_that_names_it(api, verb, state):
    task_id = submit("tests.noop").id
    put_into(task_id, state)
    answer = api.post(f"{TASKS}{task_id}/{verb}/")
    assert (answer.status_code, answer.json()["state"]) == (409, state)


def test_cancel_asks_a_running_task_to_end_once(api):
    task_id = submit("tests.noop").id
    put_into(task_id, "running")
    answer = api.post(f"{TASKS}{task_id}/cancel/")
    assert (answer.status_code, answer.data["state"]) == (200, "running")
    assert answer.data["cancel_requested_at"]
    assert api.post(f"{TASKS}{task_id}/cancel/").status_code == 409


def test_replay_makes_a_new_task_of_one_that_is_over(api):
    task_id = submit("tests.add", {"a": 1, "b": 2}).id
    refused = api.post(f"{TASKS}{task_id}/replay/")
    assert (refused.status_code, refused.json()["state"]) == (409, "queued")
    put_into(task_id, "succeeded")
    for body, payload in (({}, {"a": 1, "b": 2}), ({"payload": {"a": 3}}, {"a": 3})):
        answer = api.post(f"{TASKS}{task_id}/replay/", body)
        assert (answer.status_code, answer.data["replay_of"], answer.data["payload"]) == (201, task_id, payload)
        assert answer.data["state"] == "queued"
    assert api.post(f"{TASKS}{task_id}/replay/", {"payload": []}).status_code == 400
    assert Task.objects.count() == 3


def test_a_verb_without_fields_refuses_fields(api):
    url = f"{TASKS}{submit('tests.noop').id}/cancel/"
    assert api.post(url, {"reason": "x"}).json()["errors"] == {"reason": ["Unknown field. Known: none."]}
    assert api.post(url, []).status_code == 400
    assert api.post(url, {}).status_code == 200


def test_result_tells_how_a_task_ended(api):
    task_id = submit("tests.noop").id
    assert api.get(f"{TASKS}{task_id}/result/").data["result"] is None
    put_into(task_id, "succeeded")
    Result.objects.create(task_id=task_id, value={"sum": [1, None]})
    answer = api.get(f"{TASKS}{task_id}/result/").data
    assert (answer["state"], answer["result"]["value"]) == ("succeeded", {"sum": [1, None]})


def test_executions_are_listed_with_the_last_attempt_first(api, walk):
    task_id, now = submit("tests.noop").id, datetime.now(UTC)
    for attempt in range(1, 6):
        Execution.objects.create(
            task_id=task_id, attempt=attempt, outcome="failed", error="no", started_at=now, finished_at=now
        )
    rows = walk(api, f"{TASKS}{task_id}/executions/?page_size=2")
    assert [row["attempt"] for row in rows] == [5, 4, 3, 2, 1]
    assert set(rows[0]) >= {"outcome", "error", "traceback", "worker", "started_at", "finished_at"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=queued", "abc"),
        ("state=cancelled", "d"),
        ("state__in=cancelled,queued", "abcd"),
        ("name=tests.add", "b"),
        ("queue=high", "c"),
        ("queue__in=high,default", "abcd"),
        ("unique_key=k", "a"),
        ("priority=7", "b"),
        ("run_at__gte=2099-01-01T00:00Z", "c"),
        ("run_at__lt=2099-01-01T00:00Z", "abd"),
        ("created_at__lt=2001-01-01T00:00Z", ""),
        ("created_at__gte=2001-01-01", "abcd"),
        ("search=tests.a", "b"),
        ("search=tests", "abcd"),
        ("search=TESTS", ""),
        ("state=queued&queue=default", "ab"),
    ],
)
def test_a_list_is_filtered(api, query, expected):
    ids = {
        "a": submit("tests.noop", unique_key="k").id,
        "b": submit("tests.add", priority=7).id,
        "c": submit("tests.noop", queue="high", run_at=LATER).id,
        "d": submit("tests.noop").id,
    }
    cancel([ids["d"]])
    rows = api.get(f"{TASKS}?{query}").data["results"]
    assert sorted(row["id"] for row in rows) == sorted(ids[letter] for letter in expected)


def test_a_search_for_an_id_finds_that_task(api):
    submit("tests.noop")
    task_id = submit("tests.noop").id
    assert [row["id"] for row in api.get(f"{TASKS}?search={task_id}").data["results"]] == [task_id]


def test_a_list_leaves_the_payloads_out(api):
    submit("tests.noop", {"a": 1})
    assert "payload" not in api.get(TASKS).data["results"][0]


def test_task_types_show_their_policies(api):
    rows = {row["name"]: row for row in api.get("/api/v1/task-types/").data["results"]}
    assert rows["tests.fail"]["max_attempts"] == 3
    assert rows["tests.fail"]["backoff"] == {"base": 0.01, "factor": 2.0, "cap": 0.02}
    assert api.get("/api/v1/task-types/tests.fail/").data == rows["tests.fail"]
    assert api.get("/api/v1/task-types/tests.nothing/").status_code == 404


def test_queues_show_what_is_due_and_for_how_long(api):
    now = datetime.now(UTC)
    submit("tests.noop", run_at=now - timedelta(minutes=5))
    submit("tests.noop")
    submit("tests.noop", run_at=LATER)
    rows = {row["name"]: row for row in api.get("/api/v1/queues/").data["results"]}
    assert list(rows) == ["high", "default", "mail", "low"]
    assert (rows["default"]["depth"], rows["default"]["more"]) == (2, False)
    assert 290 < rows["default"]["oldest_age"] < 330
    assert (rows["high"]["depth"], rows["high"]["oldest_age"]) == (0, None)


def test_workers_are_listed_and_filtered(api):
    worker_id = register_worker(["default", "low"])
    row = api.get("/api/v1/workers/?state=online").data["results"][0]
    assert (row["id"], row["queues"], row["state"]) == (worker_id, ["default", "low"], "online")
    assert api.get("/api/v1/workers/?state=lost").data["results"] == []
    assert api.get(f"/api/v1/workers/{worker_id}/").data == row


def test_a_queue_is_paused_limited_and_resumed(api):
    row = api.post("/api/v1/queues/low/pause/").data
    assert row["paused_at"] is not None
    row = api.patch("/api/v1/queues/low/", {"max_running": 3, "rate": "100/m"}).data
    assert (row["max_running"], row["rate"]) == (3, "100/m")
    row = api.patch("/api/v1/queues/low/", {"rate": None}).data
    assert (row["max_running"], row["rate"]) == (3, "")
    assert api.post("/api/v1/queues/low/resume/").data["paused_at"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [({"rate": "fast"}, "rate"), ({"max_running": 0}, "max_running"), ({"max_running": "x"}, "max_running"),
     ({"speed": 1}, "speed"), ({"rate": ""}, "rate"), ({"rate": "1/s\u0000"}, None)],
)  # fmt: skip
def test_a_limit_that_cannot_be_is_refused(api, body, field):
    answer = api.patch("/api/v1/queues/low/", body)
    assert answer.status_code == 400
    assert field is None or field in answer.data["errors"]
    assert api.get("/api/v1/queues/low/").data["max_running"] is None


def test_a_queue_that_is_not_there_is_a_404(api):
    for answer in (
        api.get("/api/v1/queues/no/"),
        api.post("/api/v1/queues/no/pause/"),
        api.patch("/api/v1/queues/no/", {}),
    ):
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("asked", "found"), [("state=queued", 2), ("state__in=queued,cancelled", 3), ("state__in=cancelled", 1)]
)
def test_the_list_finds_what_is_queued_whether_due_or_not(api, asked, found):
    first, *_ = services.submit_many([services.build("tests.noop", {}) for _ in range(2)])
    services.submit("tests.noop", delay=60)
    services.cancel([first])
    assert len(api.get(f"/api/v1/tasks/?{asked}").data["results"]) == found


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ("state=queued", "tasks_parked"),
        ("state=blocked", "tasks_blocked"),
        ("pinned=true", "tasks_pinned"),
        ("replay_of=5", "tasks_replays"),
        ("state=failed&name=x", "tasks_failed_name"),
    ],
)
def test_few_rows_are_found_by_an_index_of_their_own(api, asked, index):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tasks (name, queue, state, finished_at) SELECT 'x' || i % 100, 'default',"
            " CASE WHEN i % 5 = 0 THEN 'failed' ELSE 'succeeded' END, now() FROM generate_series(1, 20000) AS i"
        )
        cursor.execute("ANALYZE tasks")
        rows = TaskFilter(QueryDict(asked), queryset=Task.objects.order_by("-id")).qs[:101]
        text, params = rows.query.sql_with_params()
        cursor.execute(f"EXPLAIN {text}", params)
        assert index in "\n".join(row[0] for row in cursor.fetchall())
