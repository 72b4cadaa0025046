import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from queue_core import services
from queue_core.admin.schedule import FIRE_LABELS
from queue_core.models import Schedule, Task
from queue_core.states import FireOutcome
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
FORM = {
    "name": "Nightly",
    "task": "tests.noop",
    "payload": '{"a": 1}',
    "kind": "cron",
    "expression": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "interval_seconds": "",
    "starts_at": "",
    "missed": "once",
    "overlap": "skip",
    "jitter_seconds": "0",
    "queue": "",
    "priority": "",
    "max_attempts": "",
}


def person(client, *codenames):
    client.force_login(UserFactory(permissions=codenames))
    return client


@pytest.fixture
def owner(client):
    return person(client, "view_schedule", "add_schedule", "change_schedule", "delete_schedule", "view_task")


@pytest.fixture
def schedule(db):
    return services.save_schedule(name="Hourly", task="tests.noop", interval_seconds=3600)


def url(name, *args):
    return reverse(f"admin:queue_core_schedule_{name}", args=args)


def text_of(answer):
    return re.sub(r"\s+", " ", unescape(answer.content.decode()))


def said(answer):
    return [str(message) for message in answer.context["messages"]]


def test_every_outcome_has_a_colour():
    assert set(FIRE_LABELS) == set(FireOutcome.values)


def test_a_schedule_is_added_and_shown(owner):
    assert owner.get(url("add")).status_code == 200
    answer = owner.post(url("add"), FORM, follow=True)
    made = Schedule.objects.get()
    assert (made.payload, made.queue, made.priority, made.interval_seconds) == ({"a": 1}, None, None, None)
    assert said(answer) == [f"Created Nightly #{made.pk}: At 02:30 every day (Europe/Berlin)."]
    assert "At 02:30 every day (Europe/Berlin)" in text_of(owner.get(url("changelist")))
    assert re.search(r"02:30:00 CES?T", text_of(answer))
    assert LogEntry.objects.get().change_message == "Created. (admin)"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Hourly"),
        ("name", "a\x00"),
        ("task", "os.system"),
        ("payload", "[1"),
        ("payload", "[]"),
        ("expression", "0 0 1--100000000 * *"),
        ("expression", "1," * 5000),
        ("expression", ""),
        ("timezone", "Mars/Phobos"),
        ("interval_seconds", "often"),
        ("starts_at", "soon"),
        ("starts_at", "9999-12-31T23:59:59"),
        ("jitter_seconds", "-1"),
        ("jitter_seconds", "9" * 30),
        ("priority", "101"),
        ("max_attempts", "0"),
        ("queue", "nowhere"),
        ("missed", "x"),
        ("overlap", "x"),
        ("kind", "x"),
    ],
)
def test_a_mistake_is_shown_at_its_field(owner, schedule, field, value):
    answer = owner.post(url("add"), {**FORM, field: value})
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert Schedule.objects.count() == 1


def test_a_schedule_is_changed_and_keeps_its_time_when_nothing_is(owner, schedule):
    answer = owner.get(url("edit", schedule.pk))
    starts_at = f"{schedule.starts_at:%Y-%m-%dT%H:%M:%S}"
    assert f'value="{starts_at}"' in text_of(answer)
    form = answer.context["form"]
    same = {name: form[name].value() or "" for name in form.fields} | {"starts_at": starts_at, "jitter_seconds": 0}
    owner.post(url("edit", schedule.pk), same)
    unchanged = Schedule.objects.get()
    assert unchanged.next_fire_at == schedule.next_fire_at
    answer = owner.post(url("edit", schedule.pk), {**same, "kind": "cron", "expression": "@daily"}, follow=True)
    assert "At 00:00 every day (UTC)" in said(answer)[-1]
    assert Schedule.objects.get().interval_seconds is None


def test_a_schedule_is_paused_resumed_and_run_by_hand(owner, schedule):
    assert owner.get(url("pause", schedule.pk)).status_code == 405
    assert said(owner.post(url("pause", schedule.pk), follow=True)) == [f"Paused: {schedule}."]
    assert "nothing changed" in said(owner.post(url("pause", schedule.pk), follow=True))[0]
    assert owner.get(url("run_now", schedule.pk)).status_code == 200
    assert not Task.objects.exists()
    answer = owner.post(url("run_now", schedule.pk), follow=True)
    assert said(answer) == [f"Submitted task {Task.objects.get().pk}."]
    assert "run by hand" in text_of(answer)
    assert "overlap policy is skip" in said(owner.post(url("run_now", schedule.pk), follow=True))[0]
    services.save_schedule(schedule=schedule, overlap="queue")
    assert "as soon as" in said(owner.post(url("run_now", schedule.pk), follow=True))[0]
    assert said(owner.post(url("resume", schedule.pk), follow=True)) == [f"Resumed: {schedule}."]
    messages = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
    assert messages == [
        "Paused 1 schedule. (admin)",
        "Run by hand. (admin)",
        "Run by hand. (admin)",
        "Resumed 1 schedule. (admin)",
    ]


def test_a_schedule_is_deleted_after_a_question(owner, schedule):
    assert "Delete Hourly" in text_of(owner.get(url("remove", schedule.pk)))
    assert Schedule.objects.count() == 1
    assert said(owner.post(url("remove", schedule.pk), follow=True)) == [f"Deleted {schedule}."]
    assert not Schedule.objects.exists()
    assert LogEntry.objects.get().object_repr == str(schedule)
    assert owner.post(url("remove", schedule.pk)).status_code == 404


def test_chosen_schedules_are_paused_and_resumed_together(owner, schedule):
    other = services.save_schedule(name="Other", task="tests.noop", interval_seconds=5)
    services.pause_schedule([other.pk])

    def act(action):
        chosen = {"action": action, "_selected_action": [schedule.pk, other.pk]}
        return said(owner.post(url("changelist"), chosen, follow=True))

    assert act("pause_selected") == ["Paused 1 schedule; 1 was paused already."]
    assert act("resume_selected") == ["Resumed 2 schedules."]
    Schedule.objects.filter(pk=other.pk).update(timezone="Europe/Atlantis", kind="cron", paused=True)
    assert "None was resumed." in act("resume_selected")[0]
    assert "None: change the schedule." in text_of(owner.get(url("change", other.pk)))
    assert "Europe/Atlantis" in said(owner.post(url("resume", other.pk), follow=True))[0]


def test_the_list_is_searched_and_filtered(owner, schedule):
    services.pause_schedule([services.save_schedule(name="Daily", task="tests.add", expression="@daily").pk])

    def names(query):
        return {row.name for row in owner.get(url("changelist") + query).context["cl"].result_list}

    assert names("") == {"Hourly", "Daily"}
    assert names("?q=tests.add") == names("?paused__exact=1") == names("?kind__exact=cron") == {"Daily"}


@pytest.mark.parametrize("name", ["changelist", "change"])
def test_a_page_runs_as_many_queries_for_many_as_for_few(owner, schedule, name):
    seen = []
    services.save_schedule(schedule=schedule, overlap="allow")
    for number in (2, 20):
        for n in range(number):
            services.save_schedule(name=f"{number} {n}", task="tests.noop", interval_seconds=60)
            services.run_schedule_now(schedule)
        page = url(name) if name == "changelist" else url(name, schedule.pk)
        with CaptureQueriesContext(connection) as queries:
            assert owner.get(page).status_code == 200
        seen.append(len(queries))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("page", ["edit", "pause", "resume", "run_now", "remove"])
def test_a_viewer_may_look_only(client, schedule, page):
    viewer = person(client, "view_schedule")
    answer = viewer.get(url("change", schedule.pk))
    assert answer.status_code == 200
    assert url(page, schedule.pk) not in text_of(answer)
    for method in (viewer.get, viewer.post):
        assert method(url(page, schedule.pk)).status_code == 403
    assert viewer.get(url("add")).status_code == 403
    assert "pause_selected" not in text_of(viewer.get(url("changelist")))


def test_a_stranger_sees_nothing(client, schedule):
    stranger = person(client, "view_task")
    for page in (url("changelist"), url("change", schedule.pk), url("edit", schedule.pk)):
        assert stranger.get(page).status_code == 403
