import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core.fingerprints import fingerprint, normalise


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("User 7 is gone", "User 1234567 is gone"),
        ("no row 0f8fad5b-d9cb-469f-a165-70867728950e", "no row 7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        ("KeyError: 'alpha'", "KeyError: 'beta'"),
        ("mail to ada@example.com failed", "mail to bob@example.org failed"),
        ("<object at 0x7f32ab>", "<object at 0x7fffff>"),
        ("timeout after 1.5 s", "timeout after 20 s"),
    ],
)
def test_the_same_error_with_other_ids_is_one_group(one: str, other: str) -> None:
    assert fingerprint("a.b", "X", one) == fingerprint("a.b", "X", other)


def test_other_tasks_classes_and_messages_are_other_groups() -> None:
    marks = {fingerprint(*key) for key in (("a", "X", "m"), ("b", "X", "m"), ("a", "Y", "m"), ("a", "X", "n"))}
    assert len(marks) == 4


@given(st.text())
def test_any_text_has_a_fingerprint_of_32_digits(text: str) -> None:
    assert len(fingerprint("a", "X", text)) == 32
    assert normalise(normalise(text)) == normalise(text) or "<" in text
