"""schedules/: what a program that keeps schedules meets."""

from datetime import datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from queue_core import services
from queue_core.models import Schedule, Task

pytestmark = pytest.mark.django_db
SCHEDULES = "/api/v1/schedules/"
DAILY = {"name": "Daily", "task": "tests.noop", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}


@pytest.fixture
def daily(api):
    return api.post(SCHEDULES, DAILY).data


def path(schedule, verb=""):
    return f"{SCHEDULES}{schedule['id']}/{verb}"


def test_create_answers_with_the_schedule(api):
    body = {**DAILY, "payload": {"a": [1]}, "queue": "low", "priority": 3, "max_attempts": 2, "jitter_seconds": 9}
    answer = api.post(SCHEDULES, {**body, "missed": "all", "overlap": "queue"})
    assert answer.status_code == 201, answer.data
    assert {key: answer.data[key] for key in body} == body
    shown = {key: answer.data[key] for key in ("kind", "missed", "overlap", "paused", "description", "last_task")}
    assert shown == {
        "kind": "cron",
        "missed": "all",
        "overlap": "queue",
        "paused": False,
        "description": "At 02:30 every day (Europe/Berlin)",
        "last_task": None,
    }
    assert answer.data["next_fire_at"] > answer.data["created_at"]
    assert api.get(path(answer.data)).data == answer.data


def test_create_takes_an_interval(api):
    body = {"name": "Often", "task": "tests.noop", "interval_seconds": 90, "starts_at": "2026-01-01T00:00:30+01:00"}
    answer = api.post(SCHEDULES, body)
    assert (answer.data["kind"], answer.data["description"]) == ("interval", "Every 1 minute 30 seconds")
    since = datetime.fromisoformat(answer.data["next_fire_at"]) - datetime.fromisoformat(body["starts_at"])
    assert since % timedelta(seconds=90) == timedelta(0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"task": "os.system"}, "task"),
        ({"task": []}, "task"),
        ({"payload": []}, "payload"),
        ({"payload": "{}"}, "payload"),
        ({"queue": "nowhere"}, "queue"),
        ({"priority": 101}, "priority"),
        ({"priority": "x"}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"kind": "weekly"}, "kind"),
        ({"kind": "interval"}, "interval_seconds"),
        ({"interval_seconds": 5}, "kind"),
        ({"expression": ""}, "expression"),
        ({"expression": "0 0 1--100000000 * *"}, "expression"),
        ({"expression": "1," * 5000}, "expression"),
        ({"expression": "0 0 31 2 *"}, "expression"),
        ({"expression": 5}, "expression"),
        ({"expression": None}, "expression"),
        ({"timezone": "Mars/Phobos"}, "timezone"),
        ({"timezone": "../UTC"}, "timezone"),
        ({"starts_at": "soon"}, "starts_at"),
        ({"starts_at": None}, "starts_at"),
        ({"starts_at": "9999-12-31T23:59:59Z"}, "starts_at"),
        ({"starts_at": "0001-01-01T00:00:00Z"}, "starts_at"),
        ({"missed": "some"}, "missed"),
        ({"overlap": ""}, "overlap"),
        ({"jitter_seconds": -1}, "jitter_seconds"),
        ({"jitter_seconds": 10**12}, "jitter_seconds"),
        ({"paused": True}, "paused"),
        ({"next_fire_at": "2026-01-01T00:00:00Z"}, "next_fire_at"),
    ],
)
def test_create_and_change_name_the_field_to_correct(api, change, field):
    assert list(api.post(SCHEDULES, {**DAILY, **change}).json()["errors"]) == [field]
    assert not Schedule.objects.exists()
    daily = api.post(SCHEDULES, DAILY).data
    if change not in ({"interval_seconds": 5}, {"kind": "interval"}):
        answer = api.patch(path(daily), change)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert api.get(path(daily)).data == daily


@pytest.mark.parametrize("left_out", ["name", "task", "expression"])
def test_create_needs_a_name_a_task_and_a_rhythm(api, left_out):
    answer = api.post(SCHEDULES, {key: value for key, value in DAILY.items() if key != left_out})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [left_out])


def test_create_refuses_a_name_in_use(api, daily):
    assert api.post(SCHEDULES, DAILY).json()["errors"] == {"name": ["Another schedule has this name."]}


def test_change_keeps_what_is_left_out(api, daily):
    changed = api.patch(path(daily), {"name": "Nightly"}).data
    assert {**daily, "name": "Nightly", "updated_at": changed["updated_at"]} == changed
    changed = api.patch(path(daily), {"interval_seconds": 60}).data
    assert (changed["kind"], changed["expression"], changed["description"]) == ("interval", "", "Every minute")
    changed = api.patch(path(daily), {"expression": "@hourly"}).data
    assert (changed["kind"], changed["interval_seconds"]) == ("cron", None)


def test_delete_leaves_nothing_but_its_tasks(api, daily):
    api.post(path(daily, "run-now/"))
    assert api.delete(path(daily)).status_code == 204
    assert api.get(path(daily)).status_code == 404
    assert Task.objects.count() == 1


def test_pause_and_resume_may_be_repeated(api, daily):
    paused = api.post(path(daily, "pause/"))
    assert (paused.status_code, paused.data["paused"], paused.data["next_fire_at"]) == (200, True, None)
    assert api.post(path(daily, "pause/")).data == paused.data
    resumed = api.post(path(daily, "resume/"), {})
    assert (resumed.data["paused"], resumed.data["next_fire_at"]) == (False, daily["next_fire_at"])
    assert api.post(path(daily, "resume/")).data == resumed.data
    assert api.post(path(daily, "pause/"), {"why": "x"}).status_code == 400


def test_run_now_submits_and_is_on_record(api, daily):
    fire = api.post(path(daily, "run-now/"))
    assert (fire.status_code, fire.data["outcome"], fire.data["note"]) == (201, "submitted", "run by hand")
    assert api.get(f"/api/v1/tasks/{fire.data['task']}/").data["name"] == "tests.noop"
    assert api.get(path(daily, "fires/")).data["results"] == [fire.data]
    assert api.get(path(daily)).data["last_task"] == fire.data["task"]
    busy = api.post(path(daily, "run-now/"))
    assert (busy.status_code, busy.json()["state"]) == (409, "busy")
    Schedule.objects.update(task="tests.removed")
    assert api.post(path(daily, "run-now/")).status_code == 400


def test_every_change_is_on_record_with_who_made_it(api, daily):
    api.patch(path(daily), {"jitter_seconds": 5, "name": "Nightly"})
    for verb in ("pause/", "run-now/", "resume/"):
        api.post(path(daily, verb))
    api.patch(path(daily), {"jitter_seconds": -1})
    api.delete(path(daily))
    entries = LogEntry.objects.order_by("pk")
    assert [entry.change_message for entry in entries] == [
        "Created. (api)",
        "Changed name, jitter_seconds. (api)",
        "Paused 1 schedule. (api)",
        "Run by hand. (api)",
        "Resumed 1 schedule. (api)",
        "Deleted 1 schedule. (api)",
    ]
    assert {entry.object_id for entry in entries} == {str(daily["id"])}
    assert entries.last().object_repr == f"Nightly #{daily['id']}"


def test_upcoming_are_the_next_times_on_the_clock_of_the_zone(api, daily):
    answer = api.get(path(daily, "upcoming/"))
    times = [datetime.fromisoformat(time) for time in answer.data["times"]]
    assert len(times) == 10
    assert {time.strftime("%H:%M") for time in times} <= {"02:30", "03:00"}
    assert times == sorted(times)
    assert times[0] == datetime.fromisoformat(daily["next_fire_at"])
    assert answer.data["description"] == "At 02:30 every day (Europe/Berlin)"
    assert len(api.get(path(daily, "upcoming/?limit=100")).data["times"]) == 100
    for limit in ("0", "101", "-1", "x", "", "9" * 5000):
        assert "limit" in api.get(path(daily, f"upcoming/?limit={limit}")).json()["errors"]


def test_a_rhythm_that_cannot_be_read_any_more_is_explained(api, daily):
    Schedule.objects.update(timezone="Europe/Atlantis")
    assert "Europe/Atlantis" in api.get(path(daily)).data["description"]
    assert api.get(path(daily, "upcoming/")).data["times"] == []
    api.post(path(daily, "pause/"))
    answer = api.post(path(daily, "resume/"))
    assert (answer.status_code, "Europe/Atlantis" in answer.json()["detail"]) == (400, True)


def test_list_is_filtered_and_ordered(api, daily):
    other = api.post(SCHEDULES, {"name": "A", "task": "tests.add", "interval_seconds": 1}).data
    api.post(path(other, "pause/"))

    def names(query):
        return [row["name"] for row in api.get(SCHEDULES + query).data["results"]]

    assert names("") == ["A", "Daily"]
    assert names("?ordering=-name") == ["Daily", "A"]
    assert names("?kind=interval") == names("?paused=true") == names("?task=tests.add") == names("?name=A") == ["A"]
    assert names("?kind=cron") == names("?paused=false") == ["Daily"]
    assert api.get(SCHEDULES + "?kind=x").status_code == 400


def test_list_runs_as_many_queries_for_many_as_for_one(api, daily):
    seen = []
    for number in (3, 30):
        for n in range(number):
            made = services.save_schedule(name=f"{number} {n}", task="tests.noop", interval_seconds=60)
            services.run_schedule_now(made)
        with CaptureQueriesContext(connection) as queries:
            assert api.get(SCHEDULES).status_code == 200
        seen.append(len(queries))
    assert seen[0] == seen[1] < 6


@pytest.mark.parametrize(
    ("method", "verb", "needed"),
    [
        ("get", "", "view_schedule"),
        ("patch", "", "change_schedule"),
        ("delete", "", "delete_schedule"),
        ("post", "pause/", "change_schedule"),
        ("post", "resume/", "change_schedule"),
        ("post", "run-now/", "change_schedule"),
        ("get", "upcoming/", "view_schedule"),
        ("get", "fires/", "view_schedule"),
    ],
)
def test_each_verb_has_its_permission(api_with, api_without, daily, method, verb, needed):
    assert getattr(api_without(needed), method)(path(daily, verb)).status_code == 403
    assert getattr(api_with(needed), method)(path(daily, verb)).status_code in (200, 201, 204, 409)
    assert getattr(api_with(needed), method)(f"{SCHEDULES}999999999/{verb}").status_code == 404


def test_looking_and_adding_need_their_permissions(api_with, api_without):
    assert api_without("view_schedule").get(SCHEDULES).status_code == 403
    assert api_without("add_schedule").post(SCHEDULES, DAILY).status_code == 403
    assert api_with("add_schedule").post(SCHEDULES, DAILY).status_code == 201
