from datetime import UTC, datetime

import pytest
from django.db import connection

from queue_core.models import DeadLetter, DeadLetterGroup, Task
from queue_core.services import discard, open_letters, submit
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db
LETTERS = "/api/v1/dead-letters/"
GROUPS = f"{LETTERS}groups/"
MARK = "f" * 32


def forget(task_id: int) -> None:
    """As if the task's row were gone, but not its letter."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM task_executions WHERE task_id = %s", [task_id])
        cursor.execute("DELETE FROM tasks WHERE id = %s", [task_id])


def seen_at(fingerprint: str, hour: int) -> None:
    DeadLetterGroup.objects.filter(pk=fingerprint).update(last_seen=datetime(2026, 1, 1, hour, tzinfo=UTC))


def test_a_letter_shows_what_is_needed_to_judge_it(api):
    (letter,) = make_dead_letters(1, {"a": 1, "b": "x"})
    shown = api.get(f"{LETTERS}{letter.pk}/").json()
    assert (shown["task"], shown["name"], shown["queue"]) == (letter.task_id, "tests.add", "default")
    assert (shown["reason"], shown["error"], shown["fingerprint"]) == ("attempts", "ValueError: no", MARK)
    assert (shown["payload"], shown["traceback"]) == ({"a": 1, "b": "x"}, "Traceback of ValueError: no")
    assert (shown["resolution"], shown["resolved_by"], shown["replay"]) == ("", None, None)
    listed = api.get(LETTERS).json()["results"][0]
    assert {key: shown[key] for key in listed} == listed
    assert "payload" not in listed


def test_a_letter_outlives_its_task(api):
    (letter,) = make_dead_letters(1)
    forget(letter.task_id)
    shown = api.get(f"{LETTERS}{letter.pk}/").json()
    assert (shown["payload"], shown["traceback"]) == (None, "")
    refused = api.post(f"{LETTERS}{letter.pk}/replay/")
    assert (refused.status_code, refused.json()["state"]) == (409, "open")
    assert "discard it" in refused.json()["detail"]
    assert api.post(f"{LETTERS}{letter.pk}/discard/").status_code == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "abcd"),
        ("open=true", "abc"),
        ("open=false", "d"),
        ("name=tests.noop", "b"),
        ("queue=high", "c"),
        ("queue__in=high,low", "c"),
        ("reason=attempts", "abcd"),
        ("reason=timeout", ""),
        (f"fingerprint={'c' * 32}", "c"),
        ("failed_at__gte=2001-01-01", "abcd"),
        ("failed_at__lt=2001-01-01T00:00Z", ""),
        ("open=true&queue=default", "ab"),
    ],
)
def test_letters_are_filtered(api, query, found):
    letters = {
        "a": make_dead_letters(1)[0].pk,
        "b": make_dead_letters(1, name="tests.noop")[0].pk,
        "c": make_dead_letters(1, queue_name="high", fingerprint="c" * 32)[0].pk,
        "d": make_dead_letters(1)[0].pk,
    }
    discard([letters["d"]])
    rows = api.get(f"{LETTERS}?{query}").json()["results"]
    assert sorted(row["id"] for row in rows) == sorted(letters[letter] for letter in found)


@pytest.mark.parametrize(
    "query", ["reason=bored", "failed_at__gte=yesterday", "ordering=error", "open=%00", "cursor=x"]
)
def test_a_filter_that_means_nothing_is_refused_or_empty(api, query):
    make_dead_letters(1)
    assert api.get(f"{LETTERS}?{query}").status_code in (200, 400)


def test_letters_and_groups_are_walked_page_by_page(api, walk):
    made = [make_dead_letters(1, fingerprint=f"{n:032x}")[0] for n in range(5)]
    discard([made[1].pk, made[3].pk])
    assert [row["id"] for row in walk(api, f"{LETTERS}?page_size=2")] == [letter.pk for letter in reversed(made)]
    groups = walk(api, f"{GROUPS}?page_size=2")
    assert sorted(row["fingerprint"] for row in groups) == [f"{n:032x}" for n in range(5)]
    assert [row["open"] for row in groups] == [1, 1, 1, 0, 0]


def test_replay_answers_with_the_new_task_once(api):
    (letter,) = make_dead_letters(1, {"a": 1, "b": 2})
    answer = api.post(f"{LETTERS}{letter.pk}/replay/")
    assert (answer.status_code, answer.data["replay_of"], answer.data["state"]) == (201, letter.task_id, "queued")
    assert answer.data["payload"] == {"a": 1, "b": 2}
    again = api.post(f"{LETTERS}{letter.pk}/replay/")
    assert (again.status_code, again.json()["state"]) == (409, "replayed")
    assert Task.objects.count() == 2
    letter.refresh_from_db()
    assert letter.replay_id == answer.data["id"]


def test_replay_says_that_another_task_has_the_key(api):
    (letter,) = make_dead_letters(1)
    Task.objects.filter(pk=letter.task_id).update(unique_key="k")
    submit(letter.name, {"a": 1, "b": 2}, unique_key="k")
    for url, what in ((f"{LETTERS}{letter.pk}/replay/", "open"), (f"/api/v1/tasks/{letter.task_id}/replay/", "failed")):
        answer = api.post(url)
        assert (answer.status_code, answer.json()["state"]) == (409, what)
        assert "another live task has the unique key" in answer.json()["detail"]
    letter.refresh_from_db()
    assert letter.resolution == ""


def test_replay_takes_another_payload(api):
    (letter,) = make_dead_letters(1, {"a": 1})
    answer = api.post(f"{LETTERS}{letter.pk}/replay/", {"payload": {"a": 1, "b": 2}})
    assert (answer.status_code, answer.data["payload"]) == (201, {"a": 1, "b": 2})
    assert Task.objects.get(pk=letter.task_id).payload == {"a": 1}


@pytest.mark.parametrize(
    "body", [{"payload": []}, {"payload": None}, {"payload": {"a": "x" * 2**20}}, {"other": 1}, []]
)
def test_replay_refuses_a_payload_that_cannot_be_one_and_leaves_the_letter_open(api, body):
    (letter,) = make_dead_letters(1)
    assert api.post(f"{LETTERS}{letter.pk}/replay/", body).status_code == 400
    letter.refresh_from_db()
    assert letter.resolution == ""


def test_discard_closes_a_letter_once_and_says_who_did(api):
    (letter,) = make_dead_letters(1)
    answer = api.post(f"{LETTERS}{letter.pk}/discard/")
    assert (answer.status_code, answer.data["resolution"]) == (200, "discarded")
    assert answer.data["resolved_by"]
    assert (Task.objects.get().state, DeadLetterGroup.objects.get().open) == ("failed", 0)
    again = api.post(f"{LETTERS}{letter.pk}/discard/")
    assert (again.status_code, again.json()["state"]) == (409, "discarded")


def test_a_retried_task_closes_its_letter(api):
    (letter,) = make_dead_letters(1)
    api.post(f"/api/v1/tasks/{letter.task_id}/retry/")
    assert api.get(f"{LETTERS}{letter.pk}/").data["resolution"] == "retried"


# --- groups


def test_groups_with_open_letters_come_first_then_the_latest(api):
    for mark in "abcd":
        make_dead_letters(2, error=f"KeyError: {mark}", fingerprint=mark * 32)
    for hour, mark in enumerate("abdc"):
        seen_at(mark * 32, hour)
    discard(list(DeadLetter.objects.filter(fingerprint__in=["d" * 32, "c" * 32]).values_list("pk", flat=True)))
    rows = api.get(GROUPS).json()["results"]
    assert [row["fingerprint"][0] for row in rows] == ["b", "a", "c", "d"]
    assert [(row["open"], row["total"]) for row in rows] == [(2, 2), (2, 2), (0, 2), (0, 2)]
    assert rows[0]["error"] == "KeyError: b"
    assert rows[0]["first_seen"] > rows[0]["last_seen"]
    assert len(api.get(f"{GROUPS}?open=true").json()["results"]) == 2
    assert [row["fingerprint"][0] for row in api.get(f"{GROUPS}?ordering=last_seen").json()["results"]] == list("abdc")


def test_a_group_is_replayed_slice_by_slice(api, monkeypatch):
    monkeypatch.setattr(open_letters, "SLICE", 2)
    letters = make_dead_letters(5)
    (other,) = make_dead_letters(1, fingerprint="0" * 32)
    answer = api.post(f"{GROUPS}{MARK}/replay/")
    assert (answer.status_code, answer.data["changed"], answer.data["skipped"]) == (200, 5, 0)
    assert (answer.data["group"]["open"], answer.data["group"]["total"]) == (0, 5)
    replayed = Task.objects.filter(replay_of__isnull=False).order_by("replay_of")
    assert [task.replay_of for task in replayed] == [letter.task_id for letter in letters]
    assert DeadLetter.objects.get(resolution="") == other


def test_a_group_is_discarded_slice_by_slice(api, monkeypatch):
    monkeypatch.setattr(open_letters, "SLICE", 2)
    make_dead_letters(5)
    answer = api.post(f"{GROUPS}{MARK}/discard/")
    assert (answer.status_code, answer.data["changed"], answer.data["group"]["open"]) == (200, 5, 0)
    assert set(DeadLetter.objects.values_list("resolution", flat=True)) == {"discarded"}
    assert not Task.objects.exclude(state="failed").exists()


def test_what_has_no_task_is_skipped_and_can_be_discarded(api, monkeypatch):
    monkeypatch.setattr(open_letters, "SLICE", 2)
    letters = make_dead_letters(5)
    for letter in letters[1:4]:
        forget(letter.task_id)
    answer = api.post(f"{GROUPS}{MARK}/replay/")
    assert (answer.data["changed"], answer.data["skipped"], answer.data["group"]["open"]) == (2, 3, 3)
    refused = api.post(f"{GROUPS}{MARK}/replay/")
    assert (refused.status_code, refused.json()["state"]) == (409, "open")
    assert api.post(f"{GROUPS}{MARK}/discard/").data["changed"] == 3


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_group_without_open_letters_is_a_409(api, verb):
    (letter,) = make_dead_letters(1)
    discard([letter.pk])
    answer = api.post(f"{GROUPS}{MARK}/{verb}/")
    assert (answer.status_code, answer.json()["state"]) == (409, "resolved")


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_a_verb_on_a_group_takes_no_fields(api, verb):
    make_dead_letters(1)
    assert api.post(f"{GROUPS}{MARK}/{verb}/", {"payload": {}}).status_code == 400
    assert DeadLetterGroup.objects.get().open == 1


@pytest.mark.parametrize("mark", ["F" * 32, "f" * 31, "f" * 33, "0" * 32, "g" * 32])
def test_a_group_there_is_not_is_not_found(api, mark):
    make_dead_letters(1)
    assert api.get(f"{GROUPS}{mark}/").status_code == 404
    assert api.post(f"{GROUPS}{mark}/replay/").status_code == 404


def test_a_viewer_looks_and_moves_nothing(api_with):
    (letter,) = make_dead_letters(1)
    viewer = api_with("view_deadletter", "view_deadlettergroup")
    for address in (LETTERS, GROUPS, f"{LETTERS}{letter.pk}/", f"{GROUPS}{MARK}/"):
        assert viewer.get(address).status_code == 200
    for address in (f"{LETTERS}{letter.pk}/", f"{GROUPS}{MARK}/"):
        for verb in ("replay", "discard"):
            assert viewer.post(f"{address}{verb}/").status_code == 403
    assert DeadLetterGroup.objects.get().open == 1


def test_a_task_leads_to_its_replays_and_its_dead_letter(api):
    (letter,) = make_dead_letters(1)
    path = f"/api/v1/tasks/{letter.task_id}/"
    open_ = {"id": letter.pk, "reason": "attempts", "fingerprint": MARK, "resolution": ""}
    assert api.get(path).json()["lineage"] == {"replays": [], "dead_letters": [open_]}
    made = api.post(f"{LETTERS}{letter.pk}/replay/", {}, format="json").json()
    closed = {**open_, "resolution": "replayed"}
    assert api.get(path).json()["lineage"] == {"replays": [made["id"]], "dead_letters": [closed]}
    shown = api.get(f"/api/v1/tasks/{made['id']}/").json()
    assert (shown["replay_of"], shown["lineage"]) == (letter.task_id, {"replays": [], "dead_letters": []})
