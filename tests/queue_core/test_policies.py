import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core.policies import Backoff


@pytest.mark.parametrize(
    ("backoff", "failures", "ceiling"),
    [
        (Backoff(), 1, 2),
        (Backoff(), 2, 4),
        (Backoff(), 11, 2048),
        (Backoff(), 12, 3600),
        (Backoff(), 100_000, 3600),
        (Backoff(base=10, factor=1), 50, 10),
        (Backoff(base=0), 3, 0),
    ],
)
def test_the_ceiling_grows_by_the_factor_up_to_the_cap(backoff: Backoff, failures: int, ceiling: float) -> None:
    assert backoff.ceiling(failures) == ceiling


@given(st.floats(0, 1e6), st.floats(1, 10), st.floats(0, 1e6), st.integers(1, 10**9))
def test_a_wait_lies_between_nothing_and_the_ceiling(base: float, factor: float, cap: float, failures: int) -> None:
    backoff = Backoff(base=base, factor=factor, cap=cap)
    assert 0 <= backoff.delay(failures) <= backoff.ceiling(failures) <= cap


@given(st.integers(1, 200))
def test_a_later_failure_never_has_a_lower_ceiling(failures: int) -> None:
    assert Backoff().ceiling(failures + 1) >= Backoff().ceiling(failures)
