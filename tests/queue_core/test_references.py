import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core.errors import Discard
from queue_core.references import look_up, replace

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_every_reference_is_replaced_and_nothing_else(value: Any) -> None:
    payload = {"before": value, "in": [value, {"$result": "a"}], "deep": {"er": {"$result": "b.c"}}}
    replace(payload, str.upper)
    assert payload == {"before": value, "in": [value, "A"], "deep": {"er": "B.C"}}


@pytest.mark.parametrize("wrong", [{"$result": 1}, {"$result": None}, {"$result": "a", "b": 1}, {"$result": ["a"]}])
def test_what_only_looks_like_a_reference_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="nothing beside it"):
        replace({"x": [wrong]}, str)


def test_a_deep_payload_is_no_trouble() -> None:
    deep = json.loads('{"a":' * 900 + '{"$result": "x"}' + "}" * 900)
    replace(deep, lambda reference: 7)
    assert json.dumps(deep).endswith("7" + "}" * 900)


RESULT = {"id": 7, "lines": [{"sku": "a.b"}, None], "1": "one", "": "empty"}


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("pay", RESULT),
        ("pay.id", 7),
        ("pay.lines.0.sku", "a.b"),
        ("pay.lines.1", None),
        ("pay.1", "one"),
        ("pay.", "empty"),
    ],
)
def test_a_path_leads_into_a_result(reference: str, value: Any) -> None:
    assert look_up(reference, RESULT) == value


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("pay.amount", "there is no 'amount' in pay"),
        ("pay.lines.2", "there is no '2' in pay.lines"),
        ("pay.lines.-1", "there is no '-1' in pay.lines"),
        ("pay.lines.٣", "there is no '٣' in pay.lines"),
        ("pay.id.x", "there is no 'x' in pay.id"),
        ("pay.lines.1.x", "there is no 'x' in pay.lines.1"),
        ("pay.lines.99999999999999999999", "in pay.lines"),
        ("pay.__class__", "there is no '__class__' in pay"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(reference: str, said: str) -> None:
    with pytest.raises(Discard) as gone:
        look_up(reference, RESULT)
    assert str(gone.value).startswith(f"The result of step pay has no {reference}: ")
    assert said in str(gone.value)
