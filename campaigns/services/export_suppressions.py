"""export_suppressions: the list as CSV, by slices, so that memory stays flat and no statement lasts long."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from campaigns.models import Suppression
from queue_core.csv_export import safe_cell

COLUMNS = ("email", "reason", "source", "campaign", "created_at")
_SLICE = 5_000


def export_suppressions(suppressions: QuerySet[Suppression]) -> Iterator[bytes]:
    """Lines of CSV (UTF-8), oldest first, with a heading; `import_suppressions` reads them. Times are ISO 8601."""
    rows = suppressions.order_by("id").values_list("id", *COLUMNS)
    yield _lines([COLUMNS])
    after = 0
    while found := list(rows.filter(pk__gt=after)[:_SLICE]):
        yield _lines([[*map(safe_cell, row[1:-1]), row[-1].isoformat()] for row in found])
        after = found[-1][0]


def _lines(rows: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
