"""export_tasks: a list of tasks as CSV, by slices, so that memory stays flat and no statement lasts long."""

import csv
import datetime
import io
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Left

from queue_core.csv_export import safe_cell
from queue_core.lanes import key_in
from queue_core.models import Task
from queue_core.texts import shorten

# A column of the file, and that of the table.
COLUMNS = {
    **{name: name for name in ("id", "name", "queue")},
    "key": "lane",
    **{name: name for name in ("priority", "state", "attempt", "max_attempts", "crashes", "unique_key", "tags")},
    **{name: name for name in ("replay_of", "error", "run_at", "expires_at", "created_at", "started_at")},
    "finished_at": "finished_at",
    "worker": "worker_id",
    "payload": "payload_text",
}
# A spreadsheet's cell holds 32 767 characters; payloads may be a hundred times as long, and a slice is in memory.
_PAYLOAD_MAX = 32_000
_SLICE = 2_000


def export_tasks(tasks: QuerySet[Task]) -> Iterator[bytes]:
    """Lines of CSV (UTF-8), newest first, with a heading; chunks of a slice each.

    Times are ISO 8601; a payload is JSON, cut after 32 000 characters.
    """
    payload = Left(Cast("payload", TextField()), _PAYLOAD_MAX + 1)
    rows = tasks.order_by("-id").annotate(payload_text=payload).values_list(*COLUMNS.values())
    yield _lines([COLUMNS])
    after: Any = None
    while found := list((rows if after is None else rows.filter(pk__lt=after))[:_SLICE]):
        yield _lines([[_cell(name, value) for name, value in zip(COLUMNS, row, strict=True)] for row in found])
        after = found[-1][0]


def _lines(rows: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _cell(name: str, value: Any) -> Any:
    if name == "key":
        return safe_cell(key_in(value))
    if name == "payload":
        return shorten(value, _PAYLOAD_MAX)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return safe_cell(" ".join(value) if isinstance(value, list) else value)
