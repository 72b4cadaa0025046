"""The rows of a file in slices. While PostgreSQL takes in one of them, the next is read."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

from campaigns import conf
from campaigns.intake import Accepted, Refused, Rows

_MAX_CHARS = 16 << 20


class Slice(NamedTuple):
    """Some rows in a row, and how far the reader of the file was behind them."""

    rows: list[Accepted | Refused | None]
    read: int


class Slices:
    """Take the rows in order by `take`, and say by `read_ahead` when this thread begins to wait for something else.

    Not before: reading is work for Python, and one that needs its lock many times a moment would wait for each.
    """

    def __init__(self, rows: Rows, tell: Callable[[], int] = lambda: 0) -> None:
        self._rows, self._tell = rows, tell
        self._coming: Future[Slice] | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="import-reader")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.shutdown()

    def take(self) -> Slice | None:
        """The next rows, None behind the last. What their reading raises comes behind those before it."""
        coming, self._coming = self._coming, None
        found = coming.result() if coming else self._next()
        return found if found.rows else None

    def read_ahead(self) -> None:
        """Have a thread read the next rows, if it does not yet."""
        if self._coming is None:
            self._coming = self._reader.submit(self._next)

    def _next(self) -> Slice:
        """Fewer rows where they are long, so that memory stays bounded."""
        found: list[Accepted | Refused | None] = []
        chars = 0
        for row in islice(self._rows, conf.get("IMPORT_SLICE")):
            found.append(row)
            chars += len(row.attributes) if isinstance(row, Accepted) else 0
            if chars > _MAX_CHARS:
                break
        return Slice(found, self._tell())
