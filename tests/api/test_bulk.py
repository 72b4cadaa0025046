import pytest
from django_filters.filters import Filter

from queue_core.api.bulk import TERMS, query_of
from queue_core.api.dead_letters import DeadLetterFilter
from queue_core.api.filters import TaskFilter
from queue_core.api.letter_bulk import LETTER_TERMS, letters_query_of
from queue_core.models import BulkOperation, DeadLetter, Task
from queue_core.services import cancel, discard, run_bulk, submit
from queue_core.services.bulk_verbs import LETTERS, TASKS
from queue_core.services.clock import database_time
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db
URL = "/api/v1/tasks/bulk/"


def test_a_bulk_operation_is_begun_watched_and_read(api):
    letters = make_dead_letters(3)
    waiting = submit("tests.noop").id
    answer = api.post(URL, {"verb": "retry", "filter": {"q": "state:failed"}}, format="json")
    body = answer.json()
    assert answer.status_code == 202
    assert (body["state"], body["matched"], body["is_exact"], body["progress"]) == ("pending", 3, True, 0.0)
    run_bulk(body["id"], seconds=60)
    body = api.get(f"/api/v1/bulk-operations/{body['id']}/").json()
    assert (body["state"], body["changed"], body["skipped"], body["refusals"]) == ("done", 3, 0, [])
    ids = [letters[0].task_id, waiting]
    made = api.post(URL, {"verb": "delete", "ids": ids}, format="json").json()
    run_bulk(made["id"], seconds=60)
    refused = api.get(f"/api/v1/bulk-operations/{made['id']}/").json()["refusals"]
    assert refused == [{"id": pk, "reason": "is queued, not over"} for pk in ids]
    shown = api.get(f"/api/v1/bulk-operations/{made['id']}/").json()
    assert (shown["ids"], shown["scope"], body["ids"]) == (ids, f"2 ids ({ids[0]}, {ids[1]})", None)
    assert "refusals" not in api.get("/api/v1/bulk-operations/").json()["results"][0]


def test_a_dry_run_counts_and_changes_nothing(api):
    make_dead_letters(12)
    body = {"verb": "retry", "filter": {"state": "failed"}, "dry_run": True}
    answer = api.post(URL, body, format="json")
    seen = answer.json()
    assert (answer.status_code, seen["matched"], seen["is_exact"], len(seen["sample"])) == (200, 12, True, 10)
    assert seen["query"] == "state:failed"
    assert not BulkOperation.objects.exists()


def test_a_stop_is_heard_once(api):
    made = api.post(URL, {"verb": "retry", "filter": {"q": "id:>0"}}, format="json").json()
    stop = f"/api/v1/bulk-operations/{made['id']}/stop/"
    assert api.post(stop).json()["state"] == "stopping"
    answer = api.post(stop)
    assert (answer.status_code, answer.json()["state"]) == (409, "stopping")


def test_a_verb_may_need_more_than_the_route(api_with):
    client = api_with("change_task")
    assert client.post(URL, {"verb": "delete", "ids": [1]}, format="json").status_code == 403
    assert client.post(URL, {"verb": "cancel", "ids": [1]}, format="json").status_code == 202
    assert (
        api_with("change_task", "delete_task").post(URL, {"verb": "delete", "ids": [1]}, format="json").status_code
        == 202
    )


def test_who_asked_for_one_watches_and_stops_their_own(api, api_with):
    others = api.post(URL, {"verb": "pin", "ids": [1]}, format="json").json()
    client = api_with("view_task", "change_task")
    own = client.post(URL, {"verb": "pin", "ids": [1]}, format="json").json()
    path = "/api/v1/bulk-operations/"
    assert [row["id"] for row in client.get(path).json()["results"]] == [own["id"]]
    assert client.get(f"{path}{own['id']}/").json()["state"] == "pending"
    assert client.post(f"{path}{own['id']}/stop/").json()["state"] == "stopping"
    assert client.get(f"{path}{others['id']}/").status_code == 403
    assert client.post(f"{path}{others['id']}/stop/").status_code == 403
    watcher = api_with("view_bulkoperation")
    assert len(watcher.get(path).json()["results"]) == 2
    assert watcher.post(f"{path}{others['id']}/stop/").status_code == 403


FILTERS = [
    {"state": "queued"},
    {"state": "failed"},
    {"state__in": ["queued", "cancelled"]},
    {"state__in": "failed,cancelled"},
    {"name": "tests.add"},
    {"queue": "mail"},
    {"queue__in": ["mail", "low"]},
    {"unique_key": 'a "key", x*'},
    {"priority": 5},
    {"priority__gte": 1},
    {"priority__lte": 5},
    {"pinned": True},
    {"pinned": False},
    {"replay_of": 3},
    {"workflow": 3},
    {"name__startswith": "tests.n"},
    {"tags": ["a b", "c"]},
    {"created_at__gte": "2026-01-01T00:00:00Z"},
    {"created_at__lt": "2026-01-01"},
    {"run_at__gte": "2999-01-01T00:00:00+02:00"},
    {"run_at__lt": "2999-01-01T00:00"},
    {"search": "tests.n"},
    {"search": "{id}"},
    {"state": "queued", "queue": "low", "search": "tests."},
    {"q": "tag:c"},
    {"q": '-state:failed key:"a \\"key\\", x*"', "queue": "low"},
]


@pytest.fixture
def tasks(db):
    make_dead_letters(2, queue_name="mail")
    cancel([submit("tests.noop", unique_key='a "key", x*').id])
    submit("tests.noop", delay=3600, queue="low", unique_key='a "key", x*')
    submit("tests.noop", priority=5, tags=["a b", "c", "d"])
    Task.objects.filter(pk=submit("tests.noop", delay=0.001).id).update(parked=True)
    return Task.objects.order_by("-pk")


@pytest.mark.parametrize("given", FILTERS)
def test_a_filter_means_what_it_means_in_the_list(given, api, tasks):
    given = {name: str(tasks[0].pk) if value == "{id}" else value for name, value in given.items()}
    flat = {name: ",".join(value) if isinstance(value, list) else value for name, value in given.items()}
    listed = {row["id"] for row in api.get("/api/v1/tasks/", flat).json()["results"]}
    assert set(TASKS.where(query_of(given), database_time()).values_list("pk", flat=True)) == listed


def test_every_filter_of_the_list_has_a_meaning_here():
    assert {name for name, kind in TaskFilter.base_filters.items() if isinstance(kind, Filter)} == {*TERMS, "tags", "q"}


@pytest.mark.parametrize(
    ("body", "field", "part"),
    [
        ({}, "verb", "required"),
        ({"verb": "retry"}, "non_field_errors", "either filter or ids"),
        ({"verb": "retry", "filter": {"q": "a"}, "ids": [1]}, "non_field_errors", "either filter or ids"),
        ({"verb": "explode", "ids": [1]}, "verb", "there are retry, replay"),
        ({"verb": "retry", "filter": {}}, "q", "Say what to work on"),
        ({"verb": "retry", "filter": {"q": "colour:red"}}, "q", "no field"),
        ({"verb": "retry", "filter": {"q": ["x"]}}, "filter.q", "Give a text"),
        ({"verb": "retry", "filter": {"colour": "red"}}, "filter.colour", "There are state, state__in"),
        ({"verb": "retry", "filter": {"q": "", "state": "failed"}}, "filter.q", "Says nothing"),
        ({"verb": "retry", "filter": {"q": "name:", "state": "failed"}}, "q", "A value is missing"),
        ({"verb": "retry", "filter": {"state": "broken"}}, "filter.state", "Select a valid choice"),
        ({"verb": "retry", "filter": {"state": {"a": 1}}}, "filter.state", "Give a text"),
        ({"verb": "retry", "filter": {"created_at__gte": "x"}}, "filter.created_at__gte", "valid date"),
        ({"verb": "retry", "ids": []}, "ids", "1 to 10000"),
        ({"verb": "retry", "ids": [-1]}, "ids.0", "greater than or equal to 1"),
        ({"verb": "move", "ids": [1], "params": {"queue": "nowhere"}}, "params", "no queue"),
        ({"verb": "set_priority", "ids": [1]}, "params", 'give "params": {"priority": …}'),
        ({"verb": "set_priority", "ids": [1], "priority": 5}, "priority", "Known: verb, filter, ids, params"),
        ({"verb": "retry", "ids": [1], "other": 1}, "other", ""),
    ],
)
def test_what_cannot_be_begun_says_which_field(api, body, field, part):
    answer = api.post(URL, body, format="json")
    assert answer.status_code == 400, answer.content
    assert part in " ".join(answer.json()["errors"][field])
    assert not BulkOperation.objects.exists()


SILENT = [
    {"state__in": []},
    {"state": ""},
    {"name": ""},
    {"name": " "},
    {"name": None},
    {"queue__in": []},
    {"queue__in": ""},
    {"queue__in": ["low", ""]},
    {"queue__in": "low,"},
    {"queue__in": [["low"]]},
    {"queue__in": ["low,mail"]},
    {"queue": ["low"]},
    {"unique_key": ""},
    {"pinned": "flase"},
    {"pinned": None},
    {"pinned": ""},
    {"workflow": ""},
    {"priority": ""},
    {"created_at__gte": ""},
    {"tags": ""},
    {"search": ""},
]


@pytest.mark.parametrize("silent", SILENT)
def test_a_filter_that_says_nothing_is_refused_and_not_left_out(api, silent):
    make_dead_letters(1, name="tests.noop")
    body = {"verb": "delete", "filter": {"name": "tests.noop", **silent}}
    for is_dry in (True, False):
        answer = api.post(URL, {**body, "dry_run": is_dry}, format="json")
        assert answer.status_code == 400, answer.content
        assert list(answer.json()["errors"]) == [f"filter.{name}" for name in silent]
    assert not BulkOperation.objects.exists()


# --- dead letters

LETTERS_URL = "/api/v1/dead-letters/bulk/"


@pytest.mark.parametrize(("verb", "resolution"), [("replay", "replayed"), ("discard", "discarded")])
def test_all_open_letters_of_a_group_are_closed(verb, resolution, api):
    group, other = make_dead_letters(3, fingerprint="a" * 32), make_dead_letters(1, fingerprint="b" * 32)
    discard([group[0].pk])
    body = {"verb": verb, "filter": {"fingerprint": "a" * 32}}
    seen = api.post(LETTERS_URL, {**body, "dry_run": True}).json()
    assert (seen["matched"], {row["id"] for row in seen["sample"]}) == (2, {letter.pk for letter in group[1:]})
    assert not BulkOperation.objects.exists()
    answer = api.post(LETTERS_URL, body)
    made = answer.json()
    assert (answer.status_code, made["target"], made["matched"]) == (202, "queue_core.deadletter", 2)
    run_bulk(made["id"], seconds=60)
    done = api.get(f"/api/v1/bulk-operations/{made['id']}/").json()
    assert (done["state"], done["changed"], done["refusals"]) == ("done", 2, [])
    kept = dict(DeadLetter.objects.values_list("pk", "resolution"))
    assert [kept[letter.pk] for letter in group] == ["discarded", resolution, resolution]
    assert kept[other[0].pk] == ""


def test_letters_by_ids_say_why_one_was_left_alone(api):
    open_, closed = make_dead_letters(2)
    discard([closed.pk])
    made = api.post(LETTERS_URL, {"verb": "replay", "ids": [closed.pk, open_.pk]}).json()
    assert run_bulk(made["id"], seconds=60).refusals == [[closed.pk, "is resolved already, or its task is not there"]]


LETTER_FILTERS = [
    {"open": True},
    {"name": "tests.fail"},
    {"queue": "mail"},
    {"queue__in": ["mail", "low"]},
    {"reason": "timeout"},
    {"fingerprint": "a" * 32},
    {"failed_at__gte": "2026-01-01T00:00:00Z"},
    {"failed_at__lt": "2026-01-01"},
    {"open": "true", "queue": "mail"},
    {"search": "tests.a"},
    {"search": "{task}"},
    {"q": "reason:timeout -queue:mail"},
    {"q": "error:no", "queue": "mail"},
]


@pytest.mark.parametrize("given", LETTER_FILTERS)
def test_a_filter_of_letters_means_what_it_means_in_their_list(given, api):
    make_dead_letters(2, queue_name="mail", fingerprint="a" * 32)
    make_dead_letters(2, fingerprint="b" * 32)
    DeadLetter.objects.filter(pk=make_dead_letters(1)[0].pk).update(reason="timeout", failed_at="2025-01-01T00:00Z")
    given = {
        name: str(DeadLetter.objects.first().task_id) if value == "{task}" else value for name, value in given.items()
    }
    flat = {name: ",".join(value) if isinstance(value, list) else value for name, value in given.items()}
    listed = {row["id"] for row in api.get("/api/v1/dead-letters/", flat).json()["results"]}
    found = LETTERS.where(letters_query_of(given), database_time())
    assert set(found.values_list("pk", flat=True)) == listed


def test_every_filter_of_letters_has_a_meaning_here():
    assert {name for name, kind in DeadLetterFilter.base_filters.items() if isinstance(kind, Filter)} == {
        *LETTER_TERMS,
        "q",
    }


@pytest.mark.parametrize(
    ("body", "field", "part"),
    [
        ({"verb": "retry", "ids": [1]}, "verb", "there are discard, replay"),
        ({"verb": "replay", "filter": {"open": False}}, "filter.open", "Only open dead letters"),
        ({"verb": "replay", "filter": {"colour": "red"}}, "filter.colour", "There are open, name"),
        ({"verb": "replay", "filter": {"queue": "mail", "open": "maybe"}}, "filter.open", "true or false"),
        ({"verb": "replay", "filter": {"queue": "mail", "open": ""}}, "filter.open", "Says nothing"),
        ({"verb": "replay", "filter": {"queue": "mail", "fingerprint": ""}}, "filter.fingerprint", "Says nothing"),
        ({"verb": "replay", "filter": {"queue": "mail", "queue__in": []}}, "filter.queue__in", "Says nothing"),
        ({"verb": "replay", "filter": {"reason": "bored"}}, "filter.reason", "Select a valid choice"),
        ({"verb": "replay", "filter": {}}, "q", "Say what to work on"),
        ({"verb": "replay", "filter": {"fingerprint": "x"}}, "q", "32 hexadecimal digits"),
        ({"verb": "replay", "ids": [1], "params": {"payload": {}}}, "params", "this verb takes none"),
        ({"verb": "replay"}, "non_field_errors", "either filter or ids"),
    ],
)
def test_what_cannot_be_done_to_letters_says_which_field(api, body, field, part):
    make_dead_letters(1)
    answer = api.post(LETTERS_URL, body)
    assert answer.status_code == 400, answer.content
    assert part in " ".join(answer.json()["errors"][field])
    assert not BulkOperation.objects.exists()
    assert DeadLetter.objects.filter(resolution="").count() == 1
