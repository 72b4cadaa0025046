"""export_tasks: a list of tasks as CSV, by slices, so that memory stays flat and no statement lasts long."""

import csv
import datetime
import io
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from queue_core.csv_export import safe_cell
from queue_core.models import Task

COLUMNS = (
    *("id", "name", "queue", "priority", "state", "attempt", "max_attempts", "crashes", "unique_key", "tags"),
    *("replay_of", "error", "run_at", "expires_at", "created_at", "started_at", "finished_at"),
)
_SLICE = 2_000


def export_tasks(tasks: QuerySet[Task]) -> Iterator[bytes]:
    """Lines of CSV (UTF-8), newest first, with a heading; chunks of a slice each. Times are ISO 8601."""
    rows = tasks.order_by("-id").values_list(*COLUMNS)
    yield _lines([COLUMNS])
    after: Any = None
    while found := list((rows if after is None else rows.filter(pk__lt=after))[:_SLICE]):
        yield _lines([[_cell(value) for value in row] for row in found])
        after = found[-1][0]


def _lines(rows: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return safe_cell(" ".join(value) if isinstance(value, list) else value)
