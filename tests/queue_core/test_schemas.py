"""What a task takes: by its signature or by a schema of its own, at every door."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

import pytest
from django.core.checks import run_checks

from queue_core import registry, services
from queue_core.errors import InvalidPayload
from queue_core.models import Task
from queue_core.registry import task
from queue_core.schemas import PayloadSchema
from queue_core.signatures import schema_of
from tests.factories import make_dead_letters

if TYPE_CHECKING:
    from decimal import Decimal


class Size(TypedDict):
    width: int
    unit: NotRequired[str]


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Tree(TypedDict):
    branches: list["Tree"]


def everything(
    *,
    text: str,
    number: int,
    share: float,
    flag: bool,
    words: list[str],
    pairs: dict[str, int],
    maybe: int | None,
    kind: Literal["a", "b"],
    either: int | str,
    size: Size,
    point: Point,
    unknown: Callable[..., Any],
    unsaid,
    late: int = None,  # noqa: RUF013
    count: int = 3,
) -> None: ...


def test_a_schema_is_taken_from_the_annotations() -> None:
    document = schema_of(everything, takes_context=False)
    found = document["properties"]
    assert document["additionalProperties"] is False
    assert set(found) - set(document["required"]) == {"late", "count"}
    plain = ("text", "number", "share", "flag")
    assert [found[name]["type"] for name in plain] == ["string", "integer", "number", "boolean"]
    assert found["words"] == {"type": "array", "items": {"type": "string"}}
    assert found["pairs"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert found["maybe"] == {"type": ["integer", "null"]}
    assert found["kind"] == {"enum": ["a", "b"]}
    assert found["either"] == {"type": ["integer", "string"]}
    assert found["size"]["required"] == ["width"]
    assert (found["point"]["required"], found["point"]["additionalProperties"]) == (["x"], False)
    assert found["unknown"] == found["unsaid"] == {}
    assert found["late"] == {"type": ["integer", "null"], "default": None}
    assert found["count"] == {"type": "integer", "default": 3}
    assert PayloadSchema(document).fault == ""


def test_a_schema_allows_others_for_a_function_that_does() -> None:
    def rest(context: Any, *, a: int, **others: Any) -> None: ...

    document = schema_of(rest, takes_context=True)
    assert document == {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_hints_that_cannot_be_read_allow_anything() -> None:
    def odd(*, price: "Decimal", tree: "Tree") -> None: ...

    assert schema_of(odd, takes_context=False)["properties"] == {"price": {}, "tree": {}}

    def tall(*, tree: Tree) -> None: ...

    deep: Any = {"branches": []}
    for _ in range(20):
        deep = {"branches": [deep]}
    assert PayloadSchema(schema_of(tall, takes_context=False)).problems({"tree": deep}) == []


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({}, "payload: 'photo' is a required property"),
        ({"photo": "x"}, "payload.photo: 'x' is not of type 'integer'"),
        ({"photo": True}, "payload.photo: True is not of type 'integer'"),
        ({"photo": 1.0}, "payload.photo: 1.0 is not of type 'integer'"),
        ({"photo": 1, "size": "huge"}, "payload.size: 'huge' is not one of ['small', 'large']"),
        ({"photo": 1, "tags": ["a", 2]}, "payload.tags.1: 2 is not of type 'string'"),
        ({"photo": 1, "other": 1}, "'other' was unexpected"),
        ({"photo": "y" * 500_000}, "is not of type 'integer'"),
        ({"*args": [1]}, "more than the 0 it takes"),
        ({"*args": 7, "photo": 1}, "payload:"),
    ],
)
@pytest.mark.django_db
def test_submit_refuses_what_the_schema_does_not_take(payload: Any, words: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        services.submit("tests.typed", payload)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 500
    assert refused.value.field == "payload"
    assert not Task.objects.exists()


@pytest.mark.django_db
def test_submit_takes_what_fits() -> None:
    for payload in ({"photo": 1}, {"photo": 2, "ratio": None, "size": "large", "tags": ("a",)}):
        services.submit("tests.typed", payload)
    assert Task.objects.count() == 2


def test_a_schema_of_ones_own_means_by_integer_what_json_schema_does() -> None:
    assert PayloadSchema({"properties": {"photo": {"type": "integer"}}}).problems({"photo": 1.0}) == []


@pytest.mark.django_db
def test_a_batch_names_each_submission_that_does_not_fit() -> None:
    good, bad = {"name": "tests.typed", "payload": {"photo": 1}}, {"name": "tests.typed", "payload": {"photo": "1"}}
    with pytest.raises(services.InvalidBatch) as refused:
        services.submit_batch([good, bad])
    assert refused.value.errors == {"tasks.1.payload": ["payload.photo: '1' is not of type 'integer'"]}


@pytest.mark.django_db
def test_a_schedule_is_not_saved_with_a_payload_that_does_not_fit() -> None:
    with pytest.raises(services.InvalidSchedule) as refused:
        services.save_schedule(name="n", task="tests.typed", payload={"photo": []}, expression="@daily")
    assert refused.value.errors == {"payload": ["payload.photo: [] is not of type 'integer'"]}


@pytest.mark.django_db
def test_replay_refuses_an_edited_payload_that_does_not_fit() -> None:
    (letter,) = make_dead_letters(1, {"photo": 1}, name="tests.typed")
    for verb, pk in ((services.replay, letter.task_id), (services.replay_letters, letter.pk)):
        with pytest.raises(InvalidPayload, match=r"payload\.photo"):
            verb([pk], payload={"photo": None})
    assert Task.objects.count() == 1


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Registers a task for this test only."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    def made(schema: Any) -> str:
        def anything(**_: Any) -> None: ...

        anything.__qualname__ = "anything"
        return task(name="tests.anything", schema=schema)(anything).name

    return made


@pytest.mark.django_db
def test_a_schema_of_its_own_goes_before_the_signature(register: Callable[..., str]) -> None:
    name = register({"properties": {"a": {"$ref": "#/$defs/short"}}, "$defs": {"short": {"maxLength": 2}}})
    assert services.submit(name, {"a": "ab", "b": 1}).created
    with pytest.raises(InvalidPayload, match=r"payload\.a: 'abc' is too long"):
        services.submit(name, {"a": "abc"})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number?"}, "is broken: type"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}}, "never fetched"),
        ({"$ref": "#/$defs/missing"}, "never fetched"),
        ({"enum": [object()]}, "not JSON"),
        ({"pattern": "("}, "is broken"),
    ],
)
@pytest.mark.django_db
def test_a_broken_schema_is_said_at_the_start(register: Callable[..., str], schema: Any, words: str) -> None:
    name = register(schema)
    (found,) = [message for message in run_checks() if message.id == "queue_core.E006"]
    assert words in found.msg
    with pytest.raises(InvalidPayload, match="tell its developers"):
        services.submit(name, {})


def test_a_hostile_value_is_refused_and_no_fault() -> None:
    schema = PayloadSchema({"$ref": "#/$defs/n", "$defs": {"n": {"additionalProperties": {"$ref": "#/$defs/n"}}}})
    deep: Any = {}
    for _ in range(5_000):
        deep = {"a": deep}
    assert "nested too deeply" in schema.problems(deep)[0][1]
    big = PayloadSchema({"properties": {"a": {"multipleOf": 0.1}}})
    assert "out of range" in big.problems({"a": 10**400})[0][1]
