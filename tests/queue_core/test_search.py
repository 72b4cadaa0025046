import datetime
import time
import uuid

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from queue_core import search
from queue_core.models import Task, Worker
from queue_core.search import Query, SearchError, Term, Value, find, parse

NOW = timezone.now()
TOP = 2**63 - 1
ALPHABET = "ab:\"\\*,-<>= .é\n\x00\ud800۳7%_'"


def hits(text: str, now: datetime.datetime = NOW) -> set[int]:
    return {task.pk for task in find(Task.objects.all(), parse(text), now=now, before=TOP, size=1000).tasks}


def make(state: str = "queued", **values: object) -> int:
    lease = uuid.uuid4() if state == "running" else None
    return Task.objects.create(**{"name": "tests.add", "queue": "default", "state": state, "lease": lease, **values}).pk


# --- the language


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=ALPHABET, max_size=40) | st.text(max_size=60))
def test_any_text_is_a_query_or_an_error_that_says_where(text: str) -> None:
    try:
        query, refused = parse(text), None
    except SearchError as exc:
        query, refused = Query(()), exc
    assert refused is None or 1 <= refused.position <= len(text) + 1
    assert _meant(parse(str(query))) == _meant(query)


values = st.builds(Value, st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1))
TERMS = st.one_of(
    st.builds(Term, st.just(""), st.tuples(values), st.just(""), st.booleans()),
    st.builds(Term, st.sampled_from(["a", "payload.b-c.1"]), st.tuples(values, values), st.just(""), st.booleans()),
    st.builds(Term, st.just("id"), st.tuples(values), st.sampled_from(["", ">", "<="]), st.booleans()),
)


@settings(max_examples=500, deadline=None)
@example([Term("id", (Value("=5"),), ">")])
@given(st.lists(TERMS, max_size=5))
def test_what_is_written_is_read_again_as_the_same(terms: list[Term]) -> None:
    query = Query(tuple(terms))
    if len(str(query)) <= search.MAX_CHARS:
        assert _meant(parse(str(query))) == _meant(query)


def _meant(query: Query) -> list[object]:
    return [
        (term.field, [(v.text, v.is_prefix) for v in term.values], term.operator, term.is_negated)
        for term in query.terms
    ]


def test_a_term_has_its_parts() -> None:
    (one, two, three) = parse("-state:failed,cancelled name:tests.* age:>=1h").terms
    assert (one.field, [v.text for v in one.values], one.is_negated) == ("state", ["failed", "cancelled"], True)
    assert (two.values, two.position) == ((Value("tests.", is_prefix=True),), 25)
    assert (three.operator, three.values) == (">=", (Value("1h"),))
    assert parse(r'error:"a \"b\" \\"').terms[0].values[0].text == 'a "b" \\'


@pytest.mark.parametrize(
    ("text", "part", "position"),
    [
        ('error:"timed out', "without its partner", 7),
        ("state:", "A value is missing", 7),
        ("a state:failed -", "A value is missing", 17),
        ("na*me", "A * stands only at the end", 1),
        ('x"y"', "A quotation mark inside a word", 2),
        ("id:>1,2", "A comparison has one value", 1),
        ("a,b", "quote a text", 1),
        ("a\x00", "no text can hold", 2),
        ("x" * 2_001, "at most 2000 characters", 2_000),
        ("x " * 31, "at most 30 terms", 61),
        ("id:" + "1," * 50 + "1", "at most 50 values", 103),
    ],
)
def test_an_error_says_what_and_where(text: str, part: str, position: int) -> None:
    with pytest.raises(SearchError, match=part.replace("*", r"\*")) as raised:
        parse(text)
    assert raised.value.position == position


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("colour:red", "There is no field 'colour'; there are age, attempt"),
        ("http://x", "put it in quotes"),
        ("state:broken", "There is no state 'broken'; there are queued, scheduled"),
        ("state:>failed", "cannot be compared"),
        ("tag:x*", "no beginnings"),
        ("name.x:1", "Only payload has parts"),
        ("payload:7", "Say which part of the payload"),
        ("payload..a:7", "Say which part of the payload"),
        ("id:x", "is a whole number"),
        ("priority:1.5", "is a whole number"),
        (f"id:{'9' * 19}", "is a whole number"),
        ("age:1h", "Write an age as"),
        ("age:>1y", "Write an age as"),
        ("age:>999999w", "Nothing is that old"),
        ("created:>yesterday", "is no time"),
        ("created:>9999-12-31", "That day is too late"),
        ("created:2026-01-01T00:00", "Compare a time"),
        ("pinned:maybe", "yes or no"),
    ],
)
def test_a_term_that_means_nothing_says_what_to_write(text: str, part: str) -> None:
    with pytest.raises(SearchError) as raised:
        search.condition(parse(text), now=NOW)
    assert part in str(raised.value)


# --- what is found


@pytest.mark.django_db
def test_every_field_finds_its_tasks() -> None:
    until = NOW + datetime.timedelta(minutes=1)
    worker = Worker.objects.create(name="w1", hostname="h", pid=1, queues=["mail"], lease_until=until)
    plain = make()
    odd = make(
        "failed",
        name="tests.other",
        queue="mail",
        priority=7,
        payload={"customer": {"id": 7, "name": "Ann"}, "all": True},
        tags=["x", "y z"],
        unique_key="key 1",
        error="SMTPError: Timed Out 100%",
        worker=worker,
        attempt=3,
        pinned=True,
        replay_of=plain,
        created_at=NOW - datetime.timedelta(hours=2),
        started_at=NOW,
        finished_at=NOW,
        run_at=NOW + datetime.timedelta(days=3),
    )
    mine = [
        *("state:failed", "state:FAILED,expired", "name:tests.o*", "name:tests.other", "queue:mail", "queue:mail,low"),
        *("priority:7", "priority:>5", "payload.customer.id:7", "payload.customer.name:Ann", "payload.all:true"),
        *("tag:x", 'tag:"y z"', 'key:"key 1"', "key:key*", 'error:"timed out"', "error:smtp*", 'error:"100%"'),
        *("worker:w1", "worker:w*", f"worker:{worker.pk}", "attempt:>=3", "pinned:yes", f"replay_of:{plain}"),
        *("age:>1h", "age:>=90m", f"id:{odd}", f"id:>{plain}", str(odd), "tests.other", "timed smtp", '"key 1"'),
        *("due:>2026-01-01 -due:<=" + (NOW + datetime.timedelta(days=1)).strftime("%Y-%m-%d"),),
        *("started:>=2020-01-01T00:00:00Z", f"finished:{NOW:%Y-%m-%d}", "-state:queued", "-queue:default"),
        *("-tag:nobody state:failed", "name:tests.* -priority:0"),
    ]
    assert {text: hits(text) for text in mine if hits(text) != {odd}} == {}
    others = ["-tag:x", "-worker:w1", "-error:timed", "age:<1h", "priority:<=0", "pinned:no", "-payload.all:true"]
    assert {text: hits(text) for text in others if hits(text) != {plain}} == {}
    nothing = ["tag:y", "payload.customer.id:8", "payload.customer:7", "error:__%", 'payload.customer.id:"7"', "'; --"]
    assert {text: hits(text) for text in nothing if hits(text)} == {}


@pytest.mark.django_db
def test_an_age_is_counted_from_the_time_that_is_given() -> None:
    task = make(created_at=NOW)
    assert hits("age:>1h") == set()
    assert hits("age:>1h", NOW + datetime.timedelta(hours=2)) == {task}


@pytest.mark.django_db
def test_pages_of_a_search_hold_every_task_once() -> None:
    made = [make(priority=n % 2) for n in range(25)]
    seen, before = [], TOP
    while before:
        found = find(Task.objects.all(), parse("priority:1"), now=NOW, before=before, size=5)
        seen += [task.pk for task in found.tasks]
        before = found.before
    assert seen == [pk for n, pk in enumerate(made) if n % 2][::-1]


@pytest.mark.django_db
def test_a_search_without_an_index_goes_on_where_its_time_was_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queue_core.search.rows._WIDTH", (10, 10))
    made = [make(priority=1 if n == 0 else 0) for n in range(50)]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # in a table this small each range would sleep for all rows
    slow = Task.objects.extra(where=["pg_sleep(0.02) IS NOT NULL"])
    found = find(slow, parse("priority:1"), now=NOW, before=TOP, size=5)
    assert found.tasks == []
    assert found.before is not None
    assert found.before > made[0]
    assert [
        task.pk for task in find(Task.objects.all(), parse("priority:1"), now=NOW, before=found.before, size=5).tasks
    ]


@pytest.mark.django_db
def test_a_search_that_finds_no_end_says_what_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    make(), make()
    with pytest.raises(SearchError, match="add a condition"):
        find(Task.objects.extra(where=["pg_sleep(9) IS NOT NULL"]), parse("queue:default"), now=NOW, before=TOP, size=5)


PLANS = [
    ("state:failed", "tasks_failed"),
    ("state:failed payload.customer.id:7", "tasks_failed_payload"),
    ("tag:rare", "tasks_tags"),
    ("key:rare", "tasks_key"),
    ("error:needle", "tasks_error"),
]


@pytest.mark.django_db
def test_searches_use_their_indexes() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tasks (name, queue, state, payload, tags, unique_key, error) SELECT 'x', 'low',"
            " CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'succeeded' END, jsonb_build_object('customer',"
            " jsonb_build_object('id', n)), CASE WHEN n % 50 = 0 THEN ARRAY['t' || n] ELSE '{}' END,"
            " CASE WHEN n % 50 = 1 THEN 'k' || n END, CASE WHEN n % 10 = 0 THEN md5(n::text) ELSE '' END"
            " FROM generate_series(1, 20000) n"
        )
        cursor.execute("ANALYZE tasks")
    for text, index in PLANS:
        where = search.condition(parse(text), now=NOW)
        assert where.indexed
        assert f"{index}" in Task.objects.filter(where.q).order_by("-id")[:101].explain(), text


@pytest.mark.django_db
def test_a_search_is_quick_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    began = time.monotonic()
    with pytest.raises(SearchError):
        find(Task.objects.extra(where=["pg_sleep(9) IS NOT NULL"]), parse("state:queued"), now=NOW, before=TOP, size=5)
    assert time.monotonic() - began < 1.5
