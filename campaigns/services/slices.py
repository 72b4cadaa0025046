"""The rows of a file in slices. While PostgreSQL takes in one of them, the next is read."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from campaigns import conf
from campaigns.intake import Accepted, Refused, Rows

_MAX_CHARS = 16 << 20


class Slice(NamedTuple):
    """Some rows in a row, and how far the reader of the file was behind them."""

    rows: list[Accepted | Refused | None]
    read: int


def slices(rows: Rows, tell: Callable[[], int] = lambda: 0) -> Iterator[Slice]:
    """All `rows`, in order. They are read by a thread; what their reading raises comes behind those before it."""
    with ThreadPoolExecutor(1, thread_name_prefix="import-reader") as reader:
        coming = reader.submit(_next, rows, tell)
        while (found := coming.result()).rows:
            coming = reader.submit(_next, rows, tell)
            yield found


def _next(rows: Rows, tell: Callable[[], int]) -> Slice:
    """Fewer rows where they are long, so that memory stays bounded."""
    found: list[Accepted | Refused | None] = []
    chars = 0
    for row in islice(rows, conf.get("IMPORT_SLICE")):
        found.append(row)
        chars += len(row.attributes) if isinstance(row, Accepted) else 0
        if chars > _MAX_CHARS:
            break
    return Slice(found, tell())
