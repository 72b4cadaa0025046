"""Rows in slices, the next one read ahead."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from campaigns.errors import ImportRefused
from campaigns.intake import Accepted, Rows
from campaigns.services.slices import Slice, Slices

pytestmark = pytest.mark.usefixtures("small_slices")


@pytest.fixture
def small_slices(settings: Any) -> None:
    settings.CAMPAIGNS_IMPORT_SLICE = 3


def row(line: int, size: int = 2) -> Accepted:
    return Accepted(line, f"k{line}", f"k{line}", "", "x" * size)


def taken(rows: Rows, tell: Callable[[], int] = lambda: 0) -> list[Slice]:
    with Slices(rows, tell) as slices:
        found = []
        while piece := slices.take():
            slices.read_ahead()
            slices.read_ahead()
            found.append(piece)
        assert slices.take() is None
    return found


def test_all_rows_come_once_and_in_order() -> None:
    rows = [row(1), None, row(3), row(4), None, row(6), row(7)]
    assert [piece.rows for piece in taken(iter(rows))] == [rows[:3], rows[3:6], rows[6:]]
    assert taken(iter([])) == []


def test_long_rows_make_short_slices() -> None:
    assert [len(piece.rows) for piece in taken(iter([row(1, 17 << 20), row(2), row(3), row(4)]))] == [1, 3]


def test_the_next_slice_is_read_while_the_one_before_is_worked_on() -> None:
    seen: list[int] = []
    done = threading.Event()

    def rows() -> Rows:
        for line in range(6):
            seen.append(line)
            yield row(line)
        done.set()

    with Slices(rows(), lambda: len(seen)) as slices:
        first = slices.take()
        assert first is not None
        assert (first.read, len(seen)) == (3, 3)
        slices.read_ahead()
        deadline = time.monotonic() + 5
        while len(seen) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(seen) == 6
        second = slices.take()
        assert second is not None
        assert (second.read, slices.take()) == (6, None)
    assert done.is_set()


def test_what_cannot_be_read_is_told_behind_what_could() -> None:
    def rows() -> Rows:
        yield from (row(line) for line in range(4))
        raise ImportRefused("The rest is damaged.")

    with Slices(rows()) as slices:
        first = slices.take()
        assert first is not None
        assert len(first.rows) == 3
        slices.read_ahead()
        with pytest.raises(ImportRefused):
            slices.take()


def test_whoever_stops_in_the_middle_leaves_no_thread() -> None:
    with Slices(row(line) for line in range(100)) as slices:
        slices.take()
        slices.read_ahead()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("import-reader")]
