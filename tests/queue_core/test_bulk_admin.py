from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from queue_core import services
from queue_core.admin.bulk_operation import STATE_LABELS
from queue_core.models import BulkOperation, DeadLetter, Task
from queue_core.services.bulk_verbs import LETTERS, TASKS
from queue_core.services.clock import database_time
from queue_core.states import BulkState
from tests.factories import UserFactory, make_dead_letters

pytestmark = pytest.mark.django_db
VIEW = ["view_task", "view_deadletter", "view_bulkoperation"]
CHANGE = [*VIEW, "change_task", "delete_task", "change_deadletter", "change_bulkoperation"]


def url(name, *args):
    return reverse(f"admin:queue_core_{name}", args=args)


def text_of(answer):
    return unescape(answer.content.decode()).replace("\u00a0", " ")


def logged_in(client, permissions):
    client.force_login(UserFactory(permissions=permissions))
    return client


@pytest.fixture
def owner(client):
    return logged_in(client, CHANGE)


@pytest.fixture
def viewer(client):
    return logged_in(client, VIEW)


def begun(**selection):
    return services.start_bulk("retry", **{"query": "state:failed", **selection})


# --- from a list


def test_all_that_match_are_counted_shown_and_worked_on(owner):
    letters = make_dead_letters(12)
    services.submit("tests.noop")
    asked = text_of(owner.get(url("task_bulk"), {"verb": "retry", "state": "failed"}))
    assert "Retry: 12 tasks" in asked
    assert "all tasks that match state:failed" in asked
    shown = [letter.task_id for letter in letters if url("task_change", letter.task_id) in asked]
    assert shown == [letter.task_id for letter in letters[-10:]]
    answer = owner.post(url("task_bulk"), {"verb": "retry", "query": "state:failed", "ids": ""})
    made = BulkOperation.objects.get()
    assert answer.url == url("bulkoperation_change", made.pk)
    assert (made.query, made.door, made.matched) == ("state:failed", "admin", 12)
    services.run_bulk(made.pk, seconds=60)
    assert not Task.objects.filter(state="failed").exists()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"state": "failed"},
        {"state": "scheduled"},
        {"state": "queued", "queue": "low"},
        {"state": "nonsense", "queue": "\x00", "name": "nobody"},
        {"name": "tests.noop", "p": "0"},
        {"created_at_from": "2020-01-01", "created_at_to": "2999-01-01"},
        {"created_at_to": "2020-01-01"},
        {"created_at_from": "yesterday"},
        {"q": "tests.n"},
        {"q": "-state:failed", "queue": "low"},
    ],
)
def test_what_is_worked_on_is_what_the_list_shows(owner, given):
    make_dead_letters(2)
    services.submit("tests.noop", queue="low")
    services.submit("tests.noop", delay=3600)
    listed = {row.pk for row in owner.get(url("task_changelist"), given).context["cl"].result_list}
    answer = owner.get(url("task_bulk"), {**given, "verb": "pin"})
    found = set()
    if listed:
        query = dict(answer.context["hidden"])["query"]
        found = set(TASKS.where(query, database_time()).values_list("pk", flat=True))
    assert found == listed
    assert answer.status_code == (200 if listed else 302)


@pytest.mark.parametrize(
    "given",
    [
        {"state": "open"},
        {"reason": "attempts"},
        {"reason": "timeout"},
        {"queue": "default", "name": "tests.noop"},
        {"fingerprint": "c" * 32},
        {"fingerprint": "x"},
        {"failed_at_from": "2020-01-01"},
        {"failed_at_to": "2020-01-01"},
        {"q": "reason:attempts -group:{}".format("c" * 32)},
        {"q": "tests.a", "queue": "default"},
    ],
)
def test_the_same_holds_for_open_dead_letters(owner, given):
    letters = make_dead_letters(3)
    DeadLetter.objects.filter(pk=letters[0].pk).update(fingerprint="c" * 32)
    services.discard([letters[1].pk])
    rows = owner.get(url("deadletter_changelist"), given).context["cl"].result_list
    listed = {row.pk for row in rows if not row.resolution}
    answer = owner.get(url("deadletter_bulk"), {**given, "verb": "discard"})
    query = dict(answer.context["hidden"])["query"] if listed else "letter:0"
    assert set(LETTERS.where(query, database_time()).values_list("pk", flat=True)) == listed


@pytest.mark.parametrize(
    ("page", "given", "part"),
    [
        ("task", {"verb": "explode"}, "There is no bulk verb 'explode'"),
        ("task", {}, "There is no bulk verb ''"),
        ("task", {"verb": "retry", "worker__name": "w"}, "cannot be told 'worker__name'"),
        ("task", {"verb": "retry", "q": "colour:red"}, "There is no field 'colour'"),
        ("task", {"verb": "retry", "q": "\x00"}, "no text can hold"),
        ("task", {"verb": "retry", "q": "x" * 3000}, "at most 2000"),
        ("task", {"verb": "retry", "state": "running"}, "Nothing matches"),
        ("deadletter", {"verb": "retry"}, "There is no bulk verb 'retry'"),
        ("deadletter", {"verb": "replay", "state": "resolved"}, "choose the open ones"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_kindly_on_the_list(owner, page, given, part):
    make_dead_letters(1)
    answer = owner.get(url(f"{page}_bulk"), given, follow=True)
    assert answer.status_code == 200
    assert part in " ".join(map(str, answer.context["messages"]))


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ({"verb": "retry", "query": ""}, "Say what to work on"),
        ({"verb": "retry", "query": "id:1", "ids": "1"}, "not both"),
        ({"verb": "retry", "ids": "1,x"}, "Give 1 to"),
        ({"verb": "retry", "ids": "0"}, "Give 1 to"),
        ({"verb": "retry", "ids": "9" * 19}, "Give 1 to"),
        ({"verb": ["\x00"], "ids": "1"}, "no bulk verb"),
    ],
)
def test_a_forged_form_starts_nothing(owner, form, part):
    answer = owner.post(url("task_bulk"), form, follow=True)
    assert part in " ".join(map(str, answer.context["messages"]))
    assert not BulkOperation.objects.exists()


@pytest.mark.parametrize(
    ("verb", "field", "bad", "good"), [("set_priority", "priority", "1000", "7"), ("move", "queue", "nowhere", "low")]
)
def test_a_verb_with_a_parameter_asks_for_it(owner, verb, field, bad, good):
    pk = services.submit("tests.noop").id
    form = {"verb": verb, "query": f"id:{pk}", "ids": ""}
    assert field in owner.get(url("task_bulk"), {"verb": verb, "q": f"id:{pk}"}).context["form"].fields
    for wrong in ("", bad):
        assert field in owner.post(url("task_bulk"), {**form, field: wrong}).context["form"].errors
    assert not BulkOperation.objects.exists()
    owner.post(url("task_bulk"), {**form, field: good})
    services.run_bulk(BulkOperation.objects.get().pk, seconds=60)
    assert str(getattr(Task.objects.get(pk=pk), field)) == good


def test_ticked_rows_go_through_every_verb(owner):
    first, second, other = (letter.task_id for letter in make_dead_letters(3))
    ticked = {"action": "pin_selected", "_selected_action": [first, second]}
    asked = owner.post(url("task_changelist"), ticked)
    hidden = dict(asked.context["hidden"])
    assert hidden["ids"] in (f"{first},{second}", f"{second},{first}")
    owner.post(url("task_bulk"), hidden)
    services.run_bulk(BulkOperation.objects.get().pk, seconds=60)
    assert set(Task.objects.filter(pinned=True).values_list("pk", flat=True)) == {first, second}
    assert not Task.objects.get(pk=other).pinned


def test_ticked_beyond_the_page_means_all_that_match(owner):
    letter = make_dead_letters(1)[0]
    ticked = {"action": "retry_selected", "_selected_action": [letter.task_id], "select_across": "1"}
    answer = owner.post(f"{url('task_changelist')}?state=failed", ticked)
    assert answer.url == f"{url('task_bulk')}?state=failed&verb=retry"
    assert Task.objects.get().state == "failed"


# --- who may


@pytest.mark.parametrize("page", ["task", "deadletter"])
def test_who_may_only_look_is_offered_nothing_and_can_forge_nothing(viewer, page):
    letter = make_dead_letters(1)[0]
    assert "All that match" not in text_of(viewer.get(url(f"{page}_changelist")))
    form = {"verb": "replay", "ids": letter.pk if page == "deadletter" else letter.task_id}
    assert viewer.get(url(f"{page}_bulk"), form).status_code == 403
    assert viewer.post(url(f"{page}_bulk"), form).status_code == 403
    viewer.post(url(f"{page}_changelist"), {"action": "replay_selected", "_selected_action": [form["ids"]]})
    assert not BulkOperation.objects.exists()
    assert not Task.objects.filter(replay_of__isnull=False).exists()


def test_a_verb_takes_its_own_permission(client):
    pk = make_dead_letters(1)[0].task_id
    logged_in(client, ["view_task", "change_task"])
    listed = client.get(url("task_changelist"))
    assert "delete" not in dict(listed.context["bulk_verbs"])
    assert client.post(url("task_bulk"), {"verb": "delete", "ids": pk}).status_code == 403


# --- operations


def test_every_state_has_a_colour():
    assert set(STATE_LABELS) == set(BulkState.values)


def test_a_list_is_called_by_what_it_lists(owner):
    answer = owner.get(url("bulkoperation_changelist"))
    assert answer.context["title"] == "Bulk operations"


def test_an_operation_is_listed_and_shows_how_far_it_is(owner):
    make_dead_letters(3)
    services.submit("tests.noop")
    made = services.start_bulk("retry", query="id:>0")
    listed = text_of(owner.get(url("bulkoperation_changelist")))
    assert "id:>0" in listed
    before = owner.get(url("bulkoperation_change", made.pk))
    assert "data-live" in text_of(before)
    assert "0 of 4" in text_of(before)
    services.run_bulk(made.pk, seconds=60)
    after = text_of(owner.get(url("bulkoperation_change", made.pk)))
    assert "is queued, not failed or cancelled" in after
    assert "4 of 4" in after
    assert dict(owner.get(url("bulkoperation_change", made.pk)).context["counts"])["Changed"] == "3"
    assert "data-live" not in after
    assert "Stop" not in after


def test_the_ids_are_shown_and_linked_where_their_rows_are_there(owner):
    gone, waiting = make_dead_letters(1)[0].task_id, services.submit("tests.noop").id
    made = services.start_bulk("delete", query="", ids=[gone, waiting, 10**9])
    services.run_bulk(made.pk, seconds=60)
    page = owner.get(url("bulkoperation_change", made.pk))
    assert [(row["id"], bool(row["url"])) for row in page.context["ids"]] == [
        (gone, False),
        (waiting, True),
        (10**9, False),
    ]
    assert [(row["id"], bool(row["url"])) for row in page.context["refusals"]] == [(waiting, True), (10**9, False)]
    assert f'href="{url("task_change", waiting)}"' in text_of(page)
    assert 'href=""' not in text_of(page)
    assert f"3 ids ({gone}, {waiting}, {10**9})" in text_of(owner.get(url("bulkoperation_changelist")))


def test_a_list_of_operations_asks_the_same_however_long(owner):
    for _ in range(2):
        begun(query="", ids=[1, 2])
    owner.get(url("bulkoperation_changelist"))

    def queries():
        with CaptureQueriesContext(connection) as seen:
            owner.get(url("bulkoperation_changelist"))
        return len(seen)

    few = queries()
    for _ in range(8):
        begun()
    assert queries() == few


@pytest.mark.parametrize("query", ["state=running", "state=%00", "q=x", "p=9"])
def test_a_hostile_list_of_operations_is_a_list(owner, query):
    assert owner.get(f"{url('bulkoperation_changelist')}?{query}", follow=True).status_code == 200


def test_an_operation_is_stopped_once(owner):
    made = begun()
    assert owner.get(url("bulkoperation_stop", made.pk)).status_code == 405
    owner.post(url("bulkoperation_stop", made.pk))
    made.refresh_from_db()
    assert made.state == "stopping"
    again = owner.post(url("bulkoperation_stop", made.pk), follow=True)
    assert "there is nothing to stop" in text_of(again)


def test_who_may_only_look_cannot_stop(viewer):
    made = begun()
    assert "Stop" not in text_of(viewer.get(url("bulkoperation_change", made.pk)))
    assert viewer.post(url("bulkoperation_stop", made.pk)).status_code == 403


def test_who_asked_for_one_watches_and_stops_their_own(client):
    pk = make_dead_letters(1)[0].task_id
    others = begun()
    logged_in(client, ["view_task", "change_task"])
    page = client.post(url("task_bulk"), {"verb": "pin", "ids": pk}).url
    own = BulkOperation.objects.latest("pk")
    assert page == url("bulkoperation_change", own.pk)
    assert f'href="{url("bulkoperation_changelist")}"' in text_of(client.get(url("task_changelist")))
    assert "Stop" in text_of(client.get(page))
    assert [row.pk for row in client.get(url("bulkoperation_changelist")).context["cl"].result_list] == [own.pk]
    for verb in ("change", "stop"):
        assert client.post(url(f"bulkoperation_{verb}", others.pk)).status_code == 404
    client.post(url("bulkoperation_stop", own.pk))
    own.refresh_from_db()
    others.refresh_from_db()
    assert (own.state, others.state) == ("stopping", "pending")


def test_a_stranger_sees_no_operation(client):
    made = begun()
    logged_in(client, ["view_task"])
    for page in ("change", "stop"):
        assert client.get(url(f"bulkoperation_{page}", made.pk)).status_code == 403
    assert client.get(url("bulkoperation_changelist")).status_code == 403
