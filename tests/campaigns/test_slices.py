"""Rows in slices, the next one read ahead."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from campaigns.errors import ImportRefused
from campaigns.intake import Accepted, Rows
from campaigns.services.slices import slices

pytestmark = pytest.mark.usefixtures("small_slices")


@pytest.fixture
def small_slices(settings: Any) -> None:
    settings.CAMPAIGNS_IMPORT_SLICE = 3


def row(line: int, size: int = 2) -> Accepted:
    return Accepted(line, f"k{line}", f"k{line}", "", "x" * size)


def test_all_rows_come_once_and_in_order() -> None:
    rows = [row(1), None, row(3), row(4), None, row(6), row(7)]
    found = [piece.rows for piece in slices(iter(rows))]
    assert found == [rows[:3], rows[3:6], rows[6:]]
    assert list(slices(iter([]))) == []


def test_long_rows_make_short_slices() -> None:
    found = list(slices(iter([row(1, 17 << 20), row(2), row(3), row(4)])))
    assert [len(piece.rows) for piece in found] == [1, 3]


def test_the_next_slice_is_read_while_the_one_before_is_worked_on() -> None:
    begun = [threading.Event(), threading.Event()]
    seen: list[int] = []

    def rows() -> Rows:
        for line in range(6):
            if line in (0, 3):
                begun[line // 3].set()
            seen.append(line)
            yield row(line)

    coming = slices(rows(), lambda: len(seen))
    first = next(coming)
    assert begun[1].wait(5)
    assert first.read == 3
    assert [piece.read for piece in coming] == [6]


def test_what_cannot_be_read_is_told_behind_what_could() -> None:
    def rows() -> Rows:
        yield from (row(line) for line in range(4))
        raise ImportRefused("The rest is damaged.")

    coming = slices(rows())
    assert len(next(coming).rows) == 3
    with pytest.raises(ImportRefused):
        next(coming)


def test_whoever_stops_in_the_middle_leaves_no_thread() -> None:
    def rows() -> Iterator[Accepted]:
        yield from (row(line) for line in range(100))

    for _ in slices(rows()):
        break
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("import-reader")]
