import pytest

from queue_core.services import cancel, submit
from tests.factories import make_dead_letters

pytestmark = pytest.mark.django_db
URL = "/api/v1/tasks/search/"


def test_a_search_answers_the_newest_that_match_page_by_page(api, walk):
    letters = make_dead_letters(5, {"customer": {"id": 7}}, queue_name="mail")
    submit("tests.noop")
    failed = [letter.task_id for letter in letters][::-1]
    url = f"{URL}?q=state:failed+queue:mail+payload.customer.id:7"
    assert [row["id"] for row in walk(api, url + "&page_size=2")] == failed
    body = api.get(url).json()
    assert (body["next"], body["previous"], body["searched_to"]) == (None, None, None)
    assert "payload" not in body["results"][0]


def test_a_search_sees_the_states_as_people_say_them(api):
    later, now = submit("tests.noop", delay=60).id, submit("tests.noop").id
    cancel([submit("tests.noop").id])
    assert [row["id"] for row in api.get(URL, {"q": "state:scheduled"}).json()["results"]] == [later]
    assert [row["id"] for row in api.get(URL, {"q": "state:queued"}).json()["results"]] == [now]


@pytest.mark.parametrize(
    ("query", "field", "part"),
    [
        ({}, "q", "Say what to look for"),
        ({"q": "  "}, "q", "Say what to look for"),
        ({"q": "colour:red"}, "q", "There is no field"),
        ({"q": 'error:"x'}, "q", "(at character 7)"),
        ({"q": "\x00"}, "q", "no text can hold"),
        ({"q": "x" * 3000}, "q", "at most 2000"),
        ({"q": "a", "cursor": "x"}, "cursor", "unchanged"),
        ({"q": "a", "cursor": "9" * 19}, "cursor", "unchanged"),
        ({"q": "a", "page_size": "1001"}, "page_size", "from 1 to 1000"),
        ({"q": "a", "page_size": "-1"}, "page_size", "from 1 to 1000"),
    ],
)
def test_a_search_that_cannot_be_understood_says_why(api, query, field, part):
    answer = api.get(URL, query)
    assert answer.status_code == 400
    assert part in answer.json()["errors"][field][0]
