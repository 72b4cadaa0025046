import json
from base64 import urlsafe_b64encode

import pytest
from django.db import connection

from campaigns.models import Suppression
from config.api import pagination
from queue_core.services import submit, submit_batch
from tests.factories import CampaignFactory

pytestmark = pytest.mark.django_db
TASKS = "/api/v1/tasks/"


def submit_some(count: int) -> list[int]:
    return [one.id for one in submit_batch([{"name": "tests.noop", "payload": {}}] * count)]


def numbers(rows: list) -> list[int]:
    return [row["id"] for row in rows]


def test_a_walk_meets_every_row_once_while_rows_are_added(api, walk):
    ids = submit_some(25)
    rows = walk(api, f"{TASKS}?page_size=4", between=lambda: submit("tests.noop"))
    assert numbers(rows) == ids[::-1]


def test_a_walk_in_the_other_order_also_meets_rows_added_meanwhile(api, walk):
    ids, added = submit_some(25), []
    rows = walk(
        api,
        f"{TASKS}?page_size=10&ordering=id",
        between=lambda: added.extend(submit_some(1) if len(added) < 2 else []),
    )
    assert numbers(rows) == ids + added


def test_a_walk_back_meets_the_same_rows(api, walk):
    ids = submit_some(11)
    forth = api.get(f"{TASKS}?page_size=4").data
    while forth["next"]:
        forth = api.get(forth["next"]).data
    back = [numbers(forth["results"])]
    while forth["previous"]:
        forth = api.get(forth["previous"]).data
        back.insert(0, numbers(forth["results"]))
    assert back == [ids[10:6:-1], ids[6:2:-1], ids[2::-1]]
    assert forth["next"]


@pytest.mark.parametrize("ordering", ["name", "-name", "created_at", "-created_at", "name,-id"])
def test_a_walk_by_a_column_with_equal_values_meets_every_row_once(api, walk, ordering):
    template = CampaignFactory(name="a").template
    for n in range(20):
        CampaignFactory(name="abc"[n % 3], template=template)
    rows = walk(api, f"/api/v1/campaigns/?page_size=3&ordering={ordering}")
    field = ordering.split(",")[0]
    assert len(set(numbers(rows))) == 21
    values = [row[field.lstrip("-")] for row in rows]
    assert values == sorted(values, reverse=field.startswith("-"))


def test_a_walk_keeps_its_filters(api, walk):
    submit_some(5)
    high = [submit("tests.noop", queue="high").id for _ in range(7)]
    assert numbers(walk(api, f"{TASKS}?queue=high&page_size=2")) == high[::-1]


def test_an_empty_list_has_no_links(api):
    assert api.get(TASKS).data == {"next": None, "previous": None, "count": 0, "results": []}


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 12), ("count=estimate", 12), ("count=exact", 12), ("count=none", None), ("count=exact&queue=high", 0)],
)
def test_count_is_as_asked(api, query, count):
    submit_some(12)
    assert api.get(f"{TASKS}?page_size=5&{query}").data["count"] == count


def test_an_estimate_of_many_rows_scans_none(api, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(pagination, "_CHEAP", 0)
    Suppression.objects.bulk_create([Suppression(key=f"{n}@x.de", email=f"{n}@x.de") for n in range(2000)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE suppressions")
    with django_assert_num_queries(6) as queries:
        assert 1900 < api.get("/api/v1/suppressions/").data["count"] < 2100
    assert queries[5]["sql"].startswith("EXPLAIN")


@pytest.mark.parametrize(
    "query",
    [
        *("page_size=0", "page_size=1001", "page_size=x", "page_size=-1", "page_size=1e2", "page_size=", "count=all"),
        *("ordering=payload", "ordering=id,worker__pid", "ordering=--id", "ordering=%3F"),
        *("cursor=x", "cursor=é", "cursor=%00", "cursor=AAAA"),
        *("state=lost", "state__in=failed,lost", "priority=x", "priority=1.5", "created_at__gte=yesterday"),
        *("name=%00", "search=%00", "queue__in=%00", "unique_key=%00"),
    ],
)
def test_a_query_that_makes_no_sense_is_a_400_that_names_it(api, query):
    answer = api.get(f"{TASKS}?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [query.split("=")[0]]


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        None,
        [False],
        [False, 3],
        [False, []],
        [False, ["x"]],
        [False, [[1]]],
        [False, [1, 2]],
        [False, [None]],
        [1, [1]],
        [False, ["\x00"]],
        [False, [1.5]],
    ],
)
def test_a_made_up_cursor_is_a_400(api, content):
    submit_some(3)
    cursor = urlsafe_b64encode(json.dumps(content).encode()).decode()
    assert api.get(TASKS, {"cursor": cursor}).status_code == 400


@pytest.mark.parametrize("value", [10**30, -(10**30), "7", 2**63, True])
def test_a_cursor_beyond_all_ids_is_an_empty_or_a_full_page(api, value):
    submit_some(3)
    cursor = urlsafe_b64encode(json.dumps([False, [value]]).encode()).decode()
    assert api.get(TASKS, {"cursor": cursor}).status_code == 200


@pytest.mark.parametrize("query", ["priority=99999999999999999999", "search=99999999999999999999", "name=x"])
def test_a_filter_that_nothing_can_meet_is_an_empty_page(api, query):
    submit_some(3)
    assert api.get(f"{TASKS}?{query}").data["count"] == 0
    assert api.get(f"{TASKS}?{query}&cursor=W2ZhbHNlLCBbMV1d").data["results"] == []
