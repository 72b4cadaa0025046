import json
from html import unescape

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from queue_core import services
from queue_core.admin.dead_letter import RESOLUTION_LABELS
from queue_core.models import DeadLetter, DeadLetterGroup, Task
from queue_core.states import Resolution
from tests.factories import UserFactory, make_dead_letters

pytestmark = pytest.mark.django_db
MARK = "f" * 32
VIEW = ["view_deadletter", "view_deadlettergroup", "view_task"]


@pytest.fixture
def owner(client):
    client.force_login(
        UserFactory(username="owner", permissions=[*VIEW, "change_deadletter", "change_deadlettergroup"])
    )
    return client


@pytest.fixture
def viewer(client):
    client.force_login(UserFactory(username="viewer", permissions=VIEW))
    return client


def url(name, *args):
    return reverse(f"admin:queue_core_{name}", args=args)


def text_of(answer):
    return unescape(answer.content.decode())


def rows(answer):
    return [row.pk for row in answer.context["cl"].result_list]


def resolutions():
    return list(DeadLetter.objects.order_by("pk").values_list("resolution", flat=True))


def ticked(action, letters, **fields):
    return {"action": action, "_selected_action": [letter.pk for letter in letters], **fields}


def test_every_resolution_has_a_colour():
    assert set(RESOLUTION_LABELS) == {"open", *Resolution.values}


# --- the lists


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "dcba"),
        ({"state": "open"}, "cba"),
        ({"state": "resolved"}, "d"),
        ({"queue": "high"}, "c"),
        ({"name": "tests.noop"}, "b"),
        ({"reason": "attempts", "state": "open"}, "cba"),
        ({"reason": "timeout"}, ""),
        ({"fingerprint": "c" * 32}, "c"),
        ({"fingerprint": "x"}, "dcba"),
        ({"fingerprint": "\x00"}, "dcba"),
        ({"state": "nonsense", "reason": "nonsense", "queue": "\x00"}, "dcba"),
        ({"failed_at_from": "2020-01-01"}, "dcba"),
        ({"failed_at_to": "2020-01-01"}, ""),
    ],
)
def test_letters_are_filtered_newest_first(owner, query, found):
    letters = {
        "a": make_dead_letters(1)[0].pk,
        "b": make_dead_letters(1, name="tests.noop")[0].pk,
        "c": make_dead_letters(1, queue_name="high", fingerprint="c" * 32)[0].pk,
        "d": make_dead_letters(1)[0].pk,
    }
    services.discard([letters["d"]])
    assert rows(owner.get(url("deadletter_changelist"), query)) == [letters[letter] for letter in found]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("", [1, 0]),
        ("tests.n", [1]),
        ("busy", [1]),
        ("{task}", [0]),
        ("letter:{letter}", [0]),
        ("group:" + "b" * 32, [1]),
        ("reason:attempts queue:default", [1, 0]),
        ("reason:timeout", []),
    ],
)
def test_letters_are_searched(owner, q, found):
    letters = make_dead_letters(1)
    letters += make_dead_letters(1, name="tests.noop", fingerprint="b" * 32, error="OSError: busy")
    q = q.format(task=letters[0].task_id, letter=letters[0].pk)
    assert rows(owner.get(url("deadletter_changelist"), {"q": q})) == [letters[number].pk for number in found]


@pytest.mark.parametrize(("q", "found"), [("tests.n", "b"), ("busy", "b"), ("open:>1", "a"), ("", "ba")])
def test_groups_are_searched(owner, q, found):
    make_dead_letters(2, fingerprint="a" * 32)
    make_dead_letters(1, name="tests.noop", fingerprint="b" * 32, error="OSError: busy")
    listed = rows(owner.get(url("deadlettergroup_changelist"), {"q": q}))
    assert sorted(mark[0] for mark in listed) == sorted(found)


@pytest.mark.parametrize("page", ["deadletter", "deadlettergroup"])
def test_a_search_that_cannot_be_says_so(owner, page):
    make_dead_letters(1)
    answer = owner.get(url(f"{page}_changelist"), {"q": "reason:bored colour:red"})
    assert answer.status_code == 200
    assert rows(answer) == []
    assert "There is no" in " ".join(map(str, answer.context["messages"]))


def test_columns_without_an_index_cannot_be_searched(owner):
    assert owner.get(url("deadletter_changelist"), {"error__contains": "x"}).status_code == 400


def test_groups_with_open_letters_come_first_then_the_latest(owner):
    for mark in "abcd":
        make_dead_letters(1, name="tests.noop" if mark == "a" else "tests.add", fingerprint=mark * 32)
        DeadLetterGroup.objects.filter(pk=mark * 32).update(last_seen=f"2026-01-0{'adbc'.index(mark) + 1}T00:00Z")
    services.discard(list(DeadLetter.objects.filter(fingerprint="b" * 32).values_list("pk", flat=True)))
    for query, found in {
        "": "cdab",
        "state=open": "cda",
        "state=resolved": "b",
        "q=tests.n": "a",
        "state=x": "cdab",
    }.items():
        answer = owner.get(f"{url('deadlettergroup_changelist')}?{query}")
        assert "".join(pk[0] for pk in rows(answer)) == found


@pytest.mark.parametrize("page", ["deadletter_changelist", "deadlettergroup_changelist"])
def test_a_list_runs_as_many_queries_for_30_rows_as_for_3(owner, page, django_assert_num_queries):
    def fill(first, last):
        for n in range(first, last):
            (letter,) = make_dead_letters(1, fingerprint=f"{n:032x}")
            services.discard([letter.pk], by=services.Actor(UserFactory(), "api"))

    fill(0, 3)
    owner.get(url(page))
    with CaptureQueriesContext(connection) as few:
        owner.get(url(page))
    fill(3, 30)
    with django_assert_num_queries(len(few)):
        owner.get(url(page))


def test_the_open_letters_are_listed_by_an_index(owner):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dead_letter_queue (task_id, name, queue, reason, fingerprint, error, resolution) "
            "SELECT n, 'x', 'default', 'attempts', md5('x'), 'no', CASE WHEN n <= 2000 THEN '' ELSE 'discarded' END "
            "FROM generate_series(1, 20000) n"
        )
        cursor.execute("ANALYZE dead_letter_queue")
    answer = owner.get(url("deadletter_changelist"), {"state": "open"})
    assert len(rows(answer)) == 50
    plan = answer.context["cl"].queryset[:50].explain()
    assert "dead_letter_queue_latest" in plan, plan


# --- one letter


def test_the_page_of_a_letter_shows_its_story_and_leads_to_the_task(owner):
    (letter,) = make_dead_letters(1, {"a": "<b>ä"}, error="ValueError: no <i>")
    answer = owner.get(url("deadletter_change", letter.pk))
    content = text_of(answer)
    for part in ("Traceback of ValueError", '"a": "', "attempts used up", url("task_change", letter.task_id)):
        assert part in content
    assert url("deadlettergroup_change", MARK) in content
    assert "<b>ä" not in answer.content.decode()
    assert "ValueError: no <i>" not in answer.content.decode()


def test_a_letter_can_be_looked_at_when_its_task_is_forgotten(owner):
    (letter,) = make_dead_letters(1)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tasks WHERE id = %s", [letter.task_id])
    content = text_of(owner.get(url("deadletter_change", letter.pk)))
    assert f"task {letter.task_id}, forgotten" in content
    assert 'name="payload"' not in content
    answer = owner.post(url("deadletter_replay", letter.pk), {"payload": "{}"}, follow=True)
    assert "its task is gone: discard it. Nothing was changed" in text_of(answer)
    assert resolutions() == [""]


def test_replay_makes_a_new_task_with_the_same_payload(owner):
    (letter,) = make_dead_letters(1, {"a": 1})
    assert '"a": 1' in text_of(owner.get(url("deadletter_replay", letter.pk)))
    assert resolutions() == [""]
    answer = owner.post(url("deadletter_replay", letter.pk), {"payload": '{"a":   1}'}, follow=True)
    new = Task.objects.get(replay_of=letter.task_id)
    assert f"as task {new.pk}" in text_of(answer)
    assert url("task_change", new.pk) in text_of(answer)
    assert "owner" in text_of(answer)
    assert new.payload == {"a": 1}


def test_replay_takes_an_edited_payload_from_who_may_submit(owner):
    (letter,) = make_dead_letters(1, {"a": 1})
    answer = owner.post(url("deadletter_replay", letter.pk), {"payload": '{"a": 2}'})
    assert "which you may not submit" in answer.context["form"].errors["payload"][0]
    User.objects.get(pk=owner.session["_auth_user_id"]).user_permissions.add(
        Permission.objects.get(codename="add_task")
    )
    owner.post(url("deadletter_replay", letter.pk), {"payload": '{"a": 2}'})
    assert Task.objects.get(replay_of=letter.task_id).payload == {"a": 2}


@pytest.mark.parametrize(
    "payload", ["[", "[]", "[" * 100_000, '{"a": NaN}', '{"a": "\\u0000"}', json.dumps({"a": "x" * 2**20})]
)
def test_a_mistake_in_the_payload_is_shown_at_its_field(owner, payload):
    (letter,) = make_dead_letters(1)
    answer = owner.post(url("deadletter_replay", letter.pk), {"payload": payload})
    assert list(answer.context["form"].errors) == ["payload"]
    assert resolutions() == [""]


def test_two_presses_replay_once(owner):
    (letter,) = make_dead_letters(1)
    owner.post(url("deadletter_replay", letter.pk), {"payload": "{}"})
    answer = owner.post(url("deadletter_replay", letter.pk), {"payload": "{}"}, follow=True)
    assert "was replayed already. Nothing was changed" in text_of(answer)
    assert Task.objects.count() == 2


def test_discard_asks_first(owner):
    (letter,) = make_dead_letters(1)
    assert "The task stays failed" in text_of(owner.get(url("deadletter_discard", letter.pk)))
    assert resolutions() == [""]
    answer = owner.post(url("deadletter_discard", letter.pk), follow=True)
    assert "Discarded the dead letter" in text_of(answer)
    assert url("deadletter_discard", letter.pk) not in text_of(answer)
    assert "was discarded already" in text_of(owner.post(url("deadletter_discard", letter.pk), follow=True))


# --- those ticked


@pytest.mark.parametrize(
    ("action", "title", "done"),
    [("replay_selected", "Replay", "replayed"), ("discard_selected", "Discard", "discarded")],
)
def test_a_bulk_action_asks_and_tells_the_true_number(owner, action, title, done):
    letters = make_dead_letters(3)
    services.discard([letters[0].pk])
    asked = owner.post(url("deadletter_changelist"), ticked(action, letters, index=0))
    content = text_of(asked)
    assert f"{title} 2 dead letters?" in content
    assert "1 resolved already stay" in content
    assert resolutions() == ["discarded", "", ""]
    hidden = dict(asked.context["hidden"])
    form = ticked(hidden["action"], letters, confirmed=hidden["confirmed"])
    answer = owner.post(url("deadletter_changelist"), form, follow=True)
    assert f"{done.capitalize()} 2 dead letters; 1 was resolved already" in text_of(answer)
    assert resolutions() == ["discarded", done, done]
    again = owner.post(url("deadletter_changelist"), form, follow=True)
    assert f"{done.capitalize()} 0 dead letters; 3 were resolved already" in text_of(again)
    assert Task.objects.filter(replay_of__isnull=False).count() == (2 if done == "replayed" else 0)


def test_a_bulk_action_on_what_is_resolved_asks_nothing(owner):
    letters = make_dead_letters(1)
    services.discard([letters[0].pk])
    answer = owner.post(url("deadletter_changelist"), ticked("replay_selected", letters), follow=True)
    assert "all resolved already: nothing changed" in text_of(answer)


# --- groups


@pytest.mark.parametrize(("verb", "done"), [("replay", "replayed"), ("discard", "discarded")])
def test_a_group_is_closed_after_a_question(owner, verb, done):
    make_dead_letters(3)
    (other,) = make_dead_letters(1, fingerprint="0" * 32)
    page = text_of(owner.get(url("deadlettergroup_change", MARK)))
    assert url(f"deadlettergroup_{verb}", MARK) in page
    assert "3 open" in page
    assert "the 3 open dead letters of “ValueError: no”" in text_of(owner.get(url(f"deadlettergroup_{verb}", MARK)))
    assert set(resolutions()) == {""}
    answer = owner.post(url(f"deadlettergroup_{verb}", MARK), follow=True)
    assert f"{done.capitalize()} 3 dead letters." in text_of(answer)
    assert url(f"deadlettergroup_{verb}", MARK) not in text_of(answer)
    assert resolutions() == [done, done, done, ""]
    assert DeadLetterGroup.objects.get(pk=other.fingerprint).open == 1
    again = owner.post(url(f"deadlettergroup_{verb}", MARK), follow=True)
    assert f"{done.capitalize()} 0 dead letters." in text_of(again)


@pytest.mark.parametrize("mark", ["0" * 32, "x", "F" * 32, "\x00"])
@pytest.mark.parametrize("page", ["change", "replay", "discard"])
def test_a_group_there_is_not_is_not_found(owner, page, mark):
    make_dead_letters(1)
    assert owner.post(url(f"deadlettergroup_{page}", mark)).status_code == 404


@pytest.mark.parametrize("pk", ["0", "999999", "99999999999999999999"])
@pytest.mark.parametrize("page", ["change", "replay", "discard"])
def test_a_letter_there_is_not_is_not_found(owner, page, pk):
    assert owner.get(url(f"deadletter_{page}", pk)).status_code == 404


# --- who may do what

ONE = ["deadletter_replay", "deadletter_discard", "deadlettergroup_replay", "deadlettergroup_discard"]


def key(page, letter):
    return letter.fingerprint if "group" in page else letter.pk


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("page", [*ONE, "deadletter_delete", "deadlettergroup_delete"])
def test_a_viewer_closes_nothing(viewer, page, method):
    (letter,) = make_dead_letters(1)
    assert getattr(viewer, method)(url(page, key(page, letter)), {"payload": "{}"}).status_code == 403
    assert resolutions() == [""]


@pytest.mark.parametrize("action", ["replay_selected", "discard_selected", "delete_selected"])
def test_a_viewer_has_no_bulk_actions(viewer, action):
    letters = make_dead_letters(2)
    viewer.post(url("deadletter_changelist"), ticked(action, letters, confirmed=1))
    assert resolutions() == ["", ""]


def test_a_viewer_sees_lists_and_pages_without_buttons(viewer):
    (letter,) = make_dead_letters(1, {"a": 1})
    for page in ("deadletter", "deadlettergroup"):
        assert viewer.get(url(f"{page}_changelist")).status_code == 200
        content = text_of(viewer.get(url(f"{page}_change", key(page, letter))))
        for verb in ONE:
            assert url(verb, key(verb, letter)) not in content
    assert '"a": 1' in text_of(viewer.get(url("deadletter_change", letter.pk)))


PAGES = [*ONE, "deadletter_change", "deadlettergroup_change"]


@pytest.mark.parametrize("page", PAGES)
def test_staff_without_permission_see_nothing(client, page):
    (letter,) = make_dead_letters(1)
    client.force_login(UserFactory())
    assert client.get(url(page, key(page, letter))).status_code == 403


@pytest.mark.parametrize("page", PAGES)
def test_the_anonymous_are_sent_to_the_login(client, page):
    (letter,) = make_dead_letters(1)
    assert client.post(url(page, key(page, letter)))["Location"].startswith("/admin/login/")


def test_the_sidebar_leads_to_both_lists(viewer):
    content = text_of(viewer.get("/admin/"))
    for page in ("deadletter_changelist", "deadlettergroup_changelist"):
        assert url(page) in content
