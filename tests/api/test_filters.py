import pytest

from queue_core.models import DeadLetter
from queue_core.services import submit
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("path", "name"),
    [("tasks/", "pinned"), ("dead-letters/", "open"), ("dead-letters/groups/", "open"), ("schedules/", "paused")],
)
def test_what_is_neither_true_nor_false_is_refused(api, path, name):
    for text in ("true", "False", "1", "0", ""):
        assert api.get(f"/api/v1/{path}", {name: text}).status_code == 200
    for text in ("maybe", "flase", "yes", "2"):
        answer = api.get(f"/api/v1/{path}", {name: text})
        assert answer.status_code == 400
        assert answer.json()["errors"] == {name: ["Must be true or false."]}


def exported(api, **given):
    answer = api.get("/api/v1/tasks/export/", given)
    assert answer.status_code == 200, answer.content
    return [int(line.split(",")[0]) for line in b"".join(answer.streaming_content).decode().splitlines()[1:]]


def test_an_export_takes_a_search(api):
    tagged = submit("tests.noop", tags=["zz"]).id
    submit("tests.noop", tags=["y"])
    assert exported(api, q="tag:zz") == [tagged]
    assert exported(api, q="tag:zz", queue="low") == []
    assert len(exported(api)) == 2
    refused = api.get("/api/v1/tasks/export/", {"q": "colour:red"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["q"])


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"search": "tests.n"}, [1]),
        ({"search": "{task}"}, [0]),
        ({"search": "nobody"}, []),
        ({"q": "letter:{letter}"}, [0]),
        ({"q": "group:" + "b" * 32}, [1]),
        ({"q": "reason:timeout"}, [2]),
        ({"q": "id:{task}"}, [0]),
        ({"q": "error:busy -reason:timeout"}, [1]),
        ({"q": "failed:>=2999-01-01"}, []),
        ({"q": "busy", "open": "true"}, [2, 1]),
    ],
)
def test_dead_letters_are_searched(api, given, found):
    letters = [
        *make_dead_letters(1, fingerprint="a" * 32),
        *make_dead_letters(1, name="tests.noop", fingerprint="b" * 32, error="OSError: busy"),
        *make_dead_letters(1, fingerprint="c" * 32, error="OSError: busy"),
    ]
    DeadLetter.objects.filter(pk=letters[2].pk).update(reason="timeout")
    given = {name: text.format(task=letters[0].task_id, letter=letters[0].pk) for name, text in given.items()}
    listed = api.get("/api/v1/dead-letters/", given).json()["results"]
    assert [row["id"] for row in listed] == [letters[number].pk for number in found]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"search": "tests.n"}, "b"),
        ({"q": "tests.n"}, "b"),
        ({"q": "busy"}, "b"),
        ({"q": "name:tests.* open:>1"}, "a"),
        ({"q": "group:" + "a" * 32}, "a"),
        ({"q": "total:1 last:>2020-01-01 -first:>=2999-01-01"}, "b"),
        ({"q": "error:no", "open": "false"}, ""),
    ],
)
def test_groups_are_searched(api, given, found):
    make_dead_letters(2, fingerprint="a" * 32)
    make_dead_letters(1, name="tests.noop", fingerprint="b" * 32, error="OSError: busy")
    listed = api.get("/api/v1/dead-letters/groups/", given).json()["results"]
    assert "".join(row["fingerprint"][0] for row in listed) == found


@pytest.mark.parametrize("path", ["dead-letters/", "dead-letters/groups/", "tasks/"])
def test_a_search_that_cannot_be_says_so(api, path):
    answer = api.get(f"/api/v1/{path}", {"q": "colour:red"})
    assert answer.status_code == 400
    assert "There is no field 'colour'" in answer.json()["errors"]["q"][0]
