"""export_tasks: a list of tasks as CSV, by slices, so that memory stays flat and no statement lasts long."""

import csv
import datetime
import io
from collections.abc import Iterator
from typing import Any

from django.db.models import Max, QuerySet, TextField
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
# Ids that are looked at together, at first and at most: where few match, one statement would read the whole table.
_WIDTH, _WIDTH_MAX = 20_000, 1_000_000


def export_tasks(tasks: QuerySet[Task]) -> Iterator[bytes]:
    """Lines of CSV (UTF-8), newest first, with a heading; chunks of a slice each.

    Times are ISO 8601; a payload is JSON, cut after 32 000 characters.
    """
    payload = Left(Cast("payload", TextField()), _PAYLOAD_MAX + 1)
    rows = tasks.order_by("-id").annotate(payload_text=payload).values_list(*COLUMNS.values())
    yield _lines([COLUMNS])
    top, width = _above(), _WIDTH
    while top is not None:
        found = list(rows.filter(pk__lt=top, pk__gte=top - width)[:_SLICE])
        if found:
            yield _lines([[_cell(name, value) for name, value in zip(COLUMNS, row, strict=True)] for row in found])
        if len(found) == _SLICE:
            top = found[-1][0]
        else:
            top, width = _above(pk__lt=top - width), min(width * 2, _WIDTH_MAX)


def _above(**below: int) -> int | None:
    """One more than the largest id, which may lie far below the one before; None when there is none."""
    last = Task.objects.filter(**below).aggregate(last=Max("pk"))["last"]
    return None if last is None else last + 1


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
