import datetime
import json
import uuid
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, get_resolver, reverse
from django.utils import timezone

from queue_core import registry, services
from queue_core.admin.paginator import CAP, bounded_count, shown
from queue_core.admin.task import OUTCOME_LABELS
from queue_core.admin.task_rows import STATE_LABELS
from queue_core.admin.times import span
from queue_core.models import Execution, Result, Task, Worker
from queue_core.querysets import SHOWN_STATES
from queue_core.states import Outcome, TaskState
from queue_core.time_limit import TooSlow, time_limit
from tests import tasks
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
ADD = tasks.add.name


def person(client, username, *codenames):
    """A client logged in as a member of staff with just these permissions."""
    client.force_login(UserFactory(username=username, permissions=codenames))
    return client


@pytest.fixture
def owner(client):
    return person(client, "owner", "view_task", "add_task", "change_task", "view_worker")


@pytest.fixture
def viewer(client):
    return person(client, "viewer", "view_task", "view_worker")


def url(name, *args):
    return reverse(f"admin:queue_core_{name}", args=args)


def make_task(state="queued", **values):
    lease = uuid.uuid4() if state == "running" else None
    return Task.objects.create(**{"name": ADD, "queue": "default", "state": state, "lease": lease, **values})


def text_of(answer):
    return unescape(answer.content.decode())


def rows(answer):
    return [row.pk for row in answer.context["cl"].result_list]


# --- the list


def test_every_state_and_outcome_has_a_colour():
    assert {*TaskState.values, "scheduled", "retrying"} <= set(STATE_LABELS)
    assert set(STATE_LABELS) == set(SHOWN_STATES)
    assert set(Outcome.values) == set(OUTCOME_LABELS)


@pytest.mark.parametrize("page", ["task_changelist", "worker_changelist"])
def test_a_list_runs_as_many_queries_for_300_rows_as_for_3(owner, page, django_assert_num_queries):
    until = timezone.now() + datetime.timedelta(seconds=60)

    def fill(n):
        for _ in range(n):
            worker = Worker.objects.create(name="w", hostname="h", pid=1, queues=["mail"], lease_until=until)
            make_task("running", worker=worker, error="x" * 200)

    fill(3)
    owner.get(url(page))
    with CaptureQueriesContext(connection) as few:
        owner.get(url(page))
    fill(297)
    with django_assert_num_queries(len(few)):
        owner.get(url(page))


def test_the_list_never_counts_more_than_its_bound(owner):
    make_task()
    with CaptureQueriesContext(connection) as queries:
        owner.get(url("task_changelist"))
    counting = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "tasks" in query["sql"]]
    assert counting
    assert all(f"LIMIT {CAP + 1}" in sql for sql in counting)


def test_a_big_list_shows_the_estimate_and_a_filtered_one_its_bound(owner):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO tasks (name, queue) SELECT 'x', 'low' FROM generate_series(1, 10050)")
        cursor.execute("ANALYZE tasks")
    assert "about 10 050" in text_of(owner.get(url("task_changelist"))).replace("\u00a0", " ")
    assert "10 000+" in text_of(owner.get(url("task_changelist"), {"queue": "low"})).replace("\u00a0", " ")


def test_newest_first(owner):
    first, second = make_task(), make_task()
    assert rows(owner.get(url("task_changelist"))) == [second.pk, first.pk]


def test_every_state_filter_finds_what_is_shown_under_that_name(owner):
    soon = timezone.now() + datetime.timedelta(hours=1)
    made = {state: make_task(state) for state in TaskState.values}
    made["scheduled"] = make_task(run_at=soon, parked=True)
    made["retrying"] = make_task(run_at=soon, parked=True, attempt=1, error="no")
    for state, task in made.items():
        assert rows(owner.get(url("task_changelist"), {"state": state})) == [task.pk], state
        assert task.shown_state == state


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "tests."}, True),
        ({"q": "ests.add"}, False),
        ({"q": '"the key"'}, True),
        ({"q": 'state:queued key:"the key" queue:mail'}, True),
        ({"q": "-queue:mail"}, False),
        ({"q": "colour:red"}, False),
        ({"q": "9" * 40}, False),
        ({"queue": "mail"}, True),
        ({"queue": "low"}, False),
        ({"name": ADD}, True),
        ({"name": "campaigns.conduct"}, False),
        ({"created_at_from": "2020-01-01", "created_at_to": "2999-01-01"}, True),
        ({"created_at_to": "2020-01-01"}, False),
        ({"created_at_from": "nonsense", "created_at_to": "9999-12-31"}, True),
        ({"state": "nonsense"}, True),
        ({"p": "nonsense"}, True),
    ],
)
def test_the_list_is_searched_and_filtered(owner, query, found):
    task = make_task(queue="mail", unique_key="the key")
    assert rows(owner.get(url("task_changelist"), query)) == ([task.pk] if found else [])


def test_a_search_that_means_nothing_says_what_to_write(owner):
    assert "There is no field 'colour'; there are age" in text_of(
        owner.get(url("task_changelist"), {"q": "colour:red"})
    )


def test_a_search_of_the_newest_says_so(owner, monkeypatch):
    monkeypatch.setattr("queue_core.search.rows.NEWEST", 2)
    old, new, _ = make_task(priority=5), make_task(priority=5), make_task()
    answer = owner.get(url("task_changelist"), {"q": "priority:5"})
    assert rows(answer) == [new.pk]
    assert text_of(answer).count(f"from id {new.pk} on") == 1
    monkeypatch.setattr("queue_core.search.rows.NEWEST", 10**9)
    assert rows(owner.get(url("task_changelist"), {"q": "priority:5"})) == [new.pk, old.pk]


def test_a_task_is_found_by_its_id(owner):
    task, _ = make_task(), make_task()
    assert rows(owner.get(url("task_changelist"), {"q": task.pk})) == [task.pk]


@pytest.mark.parametrize("lookup", ["error", "payload__x", "worker__hostname", "error__contains"])
def test_columns_without_an_index_cannot_be_searched(owner, lookup):
    assert owner.get(url("task_changelist"), {lookup: "x"}).status_code == 400


def test_a_list_that_takes_too_long_says_so(owner, monkeypatch):
    monkeypatch.setattr("queue_core.admin.ledger._LIST_SECONDS", 0.2)
    monkeypatch.setattr(
        "queue_core.models.Task.objects.for_list", lambda: Task.objects.extra(where=["pg_sleep(2) IS NOT NULL"])
    )
    monkeypatch.setattr("queue_core.admin.paginator._COUNT_SECONDS", 0.2)
    make_task()
    answer = owner.get(url("task_changelist"))
    assert "Narrow it by another filter" in text_of(answer)


def test_a_time_limit_below_a_millisecond_is_one():
    with pytest.raises(TooSlow), time_limit(0.0001), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")


def test_a_time_limit_ends_a_statement_and_then_itself():
    with pytest.raises(TooSlow), time_limit(0.1), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
    assert bounded_count(Task.objects.all()) == 0


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (9_513, "9 513"), (10_000, "10 000"), (10_001, "10 000+")])
def test_a_bounded_count_is_shown_as_what_it_is(count, text):
    assert shown(count).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.012, "12 ms"),
        (3.44, "3.4 s"),
        (39.2, "39 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (12_000, "3 h 20 min"),
        (90_000, "1 d 1 h"),
        (-1, "0 ms"),
    ],
)
def test_a_span_is_told_in_at_most_two_units(seconds, text):
    assert span(datetime.timedelta(seconds=seconds)) == text


# --- one task


def test_the_page_of_a_task_shows_its_whole_story(owner):
    task = make_task("failed", payload={"a": "<b>ä"}, error="ValueError: no", attempt=2)
    now = timezone.now()
    for attempt, outcome in enumerate(["lost", "failed"], 1):
        Execution.objects.create(
            task=task,
            attempt=attempt,
            outcome=outcome,
            error="ValueError: no",
            traceback=f"Traceback of {attempt}",
            started_at=now,
            finished_at=now,
        )
    Result.objects.create(task=task, value={"sum": 3})
    answer = owner.get(url("task_change", task.pk))
    content = text_of(answer)
    for part in ("<details>", "Traceback of 1", "Traceback of 2", '"sum": 3', '"a": "', "Retry"):
        assert part in content
    assert "<b>ä" not in answer.content.decode()


@pytest.mark.parametrize("pk", ["0", "999999", "99999999999999999999", "x"])
@pytest.mark.parametrize("page", ["task_change", "worker_change"])
def test_a_row_there_is_not_is_not_found(owner, page, pk):
    assert owner.get(url(page, pk)).status_code == 404


def test_a_task_whose_worker_was_pruned_can_be_looked_at(owner):
    task = make_task("failed", worker_id=424242)
    Execution.objects.create(
        task=task, attempt=1, worker_id=424242, outcome="lost", started_at=timezone.now(), finished_at=timezone.now()
    )
    assert "worker 424242" in text_of(owner.get(url("task_change", task.pk)))


def test_retry_puts_a_failed_task_back_in_line_and_is_written_down(owner):
    task = make_task("failed", attempt=5)
    answer = owner.post(url("task_retry", task.pk), follow=True)
    assert f"Retried: {task}." in text_of(answer)
    task.refresh_from_db()
    assert task.state == "queued"
    assert LogEntry.objects.get().change_message == "Retried 1 task. (admin)"


def test_retry_of_a_task_that_is_not_failed_changes_nothing_and_says_so(owner):
    task = make_task("succeeded")
    answer = owner.post(url("task_retry", task.pk), follow=True)
    assert "was not failed or cancelled: nothing changed" in text_of(answer)
    assert not LogEntry.objects.exists()


def test_retry_is_not_to_be_had_by_a_link(owner):
    task = make_task("failed")
    assert owner.get(url("task_retry", task.pk)).status_code == 405
    task.refresh_from_db()
    assert task.state == "failed"


def test_cancel_asks_first(owner):
    task = make_task()
    assert "It will not run" in text_of(owner.get(url("task_cancel", task.pk)))
    task.refresh_from_db()
    assert task.state == "queued"
    owner.post(url("task_cancel", task.pk))
    task.refresh_from_db()
    assert task.state == "cancelled"


def test_cancel_asks_a_running_task_to_end(owner):
    task = make_task("running")
    answer = owner.post(url("task_cancel", task.pk), follow=True)
    assert f"Asked to end: {task}." in text_of(answer)
    assert url("task_cancel", task.pk) not in text_of(answer)
    assert LogEntry.objects.get().change_message == "Cancelled 0 tasks; asked 1 running task to end. (admin)"


@pytest.mark.parametrize(
    ("action", "states", "after", "sentence"),
    [
        (
            "retry_selected",
            ["failed", "cancelled", "running"],
            "queued",
            "Retried 2 tasks; 1 was not failed or cancelled.",
        ),
        (
            "cancel_selected",
            ["queued", "succeeded"],
            "cancelled",
            "Cancelled 1 task; 1 was over already, or asked before.",
        ),
    ],
)
def test_a_bulk_action_tells_the_true_number(owner, action, states, after, sentence):
    made = [make_task(state) for state in states]
    form = {"action": action, "_selected_action": [task.pk for task in made]}
    answer = owner.post(url("task_changelist"), form, follow=True)
    assert sentence in text_of(answer)
    assert Task.objects.filter(state=after).count() == int(sentence.split()[1])
    assert LogEntry.objects.get().change_message == f"{sentence} (admin)"


# --- submitting


def submission(**changes):
    blank = {"queue": "", "priority": "", "run_at": "", "unique_key": ""}
    return {"name": ADD, "payload": '{"a": 1, "b": 2}', **blank, **changes}


def test_submit_makes_the_task_that_was_asked_for(owner):
    form = submission(queue="high", priority="7", run_at="2030-01-02T03:04", unique_key="once")
    answer = owner.post(url("task_add"), form)
    task = Task.objects.get()
    assert answer["Location"] == url("task_change", task.pk)
    assert (task.name, task.queue, task.priority, task.unique_key) == (ADD, "high", 7, "once")
    assert (task.payload, task.run_at.isoformat()) == ({"a": 1, "b": 2}, "2030-01-02T03:04:00+00:00")
    assert LogEntry.objects.get().object_id == str(task.pk)


def test_submit_leaves_what_is_blank_to_the_task(owner):
    owner.post(url("task_add"), submission())
    task = Task.objects.get()
    assert (task.queue, task.priority, task.unique_key) == (registry.get(ADD).queue_name, 0, None)


def test_submit_with_a_live_unique_key_leads_to_the_task_that_has_it(owner):
    made = services.submit(ADD, {}, unique_key="once")
    answer = owner.post(url("task_add"), submission(unique_key="once"), follow=True)
    assert f"task {made.id} has this unique key" in text_of(answer)
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "os.system"),
        ("name", ""),
        ("payload", "["),
        ("payload", "[]"),
        ("payload", "[" * 100_000),
        ("payload", '{"a": NaN}'),
        ("payload", '{"a": "\\u0000"}'),
        ("payload", '{"a": "\\ud800"}'),
        ("payload", json.dumps({"a": "x" * 2**20})),
        ("queue", "nowhere"),
        ("priority", "101"),
        ("priority", "x"),
        ("run_at", "yesterday"),
        ("unique_key", "x" * 201),
    ],
)
def test_a_mistake_is_shown_at_its_field(owner, field, value):
    answer = owner.post(url("task_add"), submission(**{field: value}))
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert not Task.objects.exists()


# --- workers


def test_the_page_of_a_worker_links_to_what_it_runs(owner):
    worker = Worker.objects.create(name="w", hostname="h", pid=1, queues=["mail"], lease_until=timezone.now())
    task = make_task("running", worker=worker)
    assert url("task_change", task.pk) in text_of(owner.get(url("worker_change", worker.pk)))


# --- who may do what


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    "page", ["task_retry", "task_cancel", "task_add", "task_delete", "worker_add", "worker_delete"]
)
def test_a_viewer_is_refused(viewer, page, method):
    task = make_task("failed")
    worker = Worker.objects.create(name="w", hostname="h", pid=1, queues=["mail"], lease_until=timezone.now())
    args = [] if page.endswith("_add") else [worker.pk if page.startswith("worker") else task.pk]
    assert getattr(viewer, method)(url(page, *args)).status_code == 403
    task.refresh_from_db()
    assert task.state == "failed"


@pytest.mark.parametrize("action", ["retry_selected", "cancel_selected", "delete_selected"])
def test_a_viewer_has_no_bulk_actions(viewer, action):
    queued, failed = make_task(), make_task("failed")
    viewer.post(url("task_changelist"), {"action": action, "_selected_action": [queued.pk, failed.pk]})
    assert sorted(Task.objects.values_list("state", flat=True)) == ["failed", "queued"]


def test_a_viewer_sees_lists_and_pages_without_buttons(viewer):
    task = make_task("failed")
    assert viewer.get(url("task_changelist")).status_code == 200
    content = text_of(viewer.get(url("task_change", task.pk)))
    assert url("task_retry", task.pk) not in content


def test_nobody_edits_or_deletes_the_rows_of_machines(client):
    client.force_login(User.objects.create_superuser("root"))
    task = make_task()
    client.post(url("task_change", task.pk), {"name": "other", "state": "succeeded"})
    assert client.post(url("task_delete", task.pk), {"post": "yes"}).status_code == 403
    assert Task.objects.get().state == "queued"


@pytest.mark.parametrize("page", ["task_changelist", "task_change", "task_retry", "task_cancel", "task_add"])
def test_staff_without_permission_see_nothing(client, page):
    person(client, "stranger")
    args = [] if page in ("task_changelist", "task_add") else [make_task().pk]
    assert client.get(url(page, *args)).status_code == 403


@pytest.mark.parametrize("page", ["task_changelist", "task_change", "task_retry", "task_cancel", "task_add"])
def test_the_anonymous_are_sent_to_the_login(client, page):
    args = [] if page in ("task_changelist", "task_add") else [make_task().pk]
    assert client.post(url(page, *args))["Location"].startswith("/admin/login/")


def test_the_pages_of_django_rq_are_not_routed():
    assert not any(model._meta.app_label == "django_rq" for model in admin.site._registry)
    with pytest.raises(NoReverseMatch):
        reverse("admin:django_rq_home")
    assert "django_rq" not in get_resolver().namespace_dict
    assert not any("django_rq" in str(callback.__module__) for callback in _views(get_resolver()))


def _views(resolver):
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _views(pattern)
        else:
            yield pattern.callback


@pytest.mark.parametrize(
    "path", ["/admin/django_rq/dashboard/", "/admin/django_rq/dashboard/queues/0/empty/", "/django-rq/"]
)
def test_the_dashboard_of_django_rq_cannot_be_reached(client, path):
    client.force_login(User.objects.create_superuser("root"))
    assert client.get(path).status_code == 404


def test_the_index_shows_each_person_what_they_may_see(client):
    make_task("failed", error="ValueError: visible")
    assert "visible" in text_of(person(client, "viewer", "view_task").get("/admin/"))
    content = text_of(person(client, "stranger").get("/admin/"))
    assert "visible" not in content
    assert "ask an administrator" in content


def test_nothing_on_the_index_loads_from_elsewhere(owner):
    content = owner.get("/admin/").content.decode()
    assert 'src="http' not in content
    assert 'href="http' not in content


# --- submitting by the fields of a schema


def test_the_form_has_a_field_for_each_argument(owner):
    chosen = owner.get(url("task_add"))
    assert list(chosen.context["form"].fields) == ["name"]
    answer = owner.get(url("task_add"), {"name": "tests.typed"})
    fields = answer.context["form"].fields
    assert [name for name in fields if "." in name] == [
        "payload.photo",
        "payload.size",
        "payload.ratio",
        "payload.tags",
    ]
    assert fields["payload.photo"].required
    assert "Write JSON instead" in text_of(answer)
    raw = owner.get(url("task_add"), {"name": "tests.typed", "raw": 1})
    assert "payload" in raw.context["form"].fields
    assert "payload" in owner.get(url("task_add"), {"name": ADD}).context["form"].fields


def test_the_fields_of_a_form_become_the_payload(owner):
    filled = {"name": "tests.typed", "payload.photo": "7", "payload.size": '"large"', "payload.tags": '["a"]'}
    owner.post(url("task_add"), {**filled, "payload.ratio": "", "queue": "high"})
    task = Task.objects.get()
    assert (task.payload, task.queue) == ({"photo": 7, "size": "large", "tags": ["a"]}, "high")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payload.photo", ""),
        ("payload.photo", "x"),
        ("payload.photo", "9" * 5000),
        ("payload.size", '"huge"'),
        ("payload.size", "["),
        ("payload.ratio", "nan"),
        ("payload.tags", "[1]"),
        ("payload.tags", "[" * 100_000),
    ],
)
def test_a_mistake_in_an_argument_is_shown_at_its_field(owner, field, value):
    answer = owner.post(url("task_add"), {"name": "tests.typed", "payload.photo": "7", field: value})
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert not Task.objects.exists()
