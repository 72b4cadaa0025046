"""export_campaign: the ledger of a campaign as CSV, by slices: memory stays flat, no statement lasts long."""

import csv
import datetime
import io
import json
from collections.abc import Iterator
from typing import Any

from campaigns.intake import EXPORTED
from campaigns.models import Campaign, Recipient
from queue_core.csv_export import safe_cell

_SLICE = 5_000


def export_campaign(campaign: Campaign, *, state: str = "") -> Iterator[bytes]:
    """Lines of CSV (UTF-8) in the order of import, with a heading; of one state or all. Times are ISO 8601.

    Imported into another draft they are the same people there.
    """
    rows = Recipient.objects.filter(campaign=campaign).order_by("id").values_list(*EXPORTED)
    if state:
        rows = rows.filter(state=state)
    yield _lines([EXPORTED])
    after = 0
    while found := list(rows.filter(pk__gt=after)[:_SLICE]):
        yield _lines([[_cell(value) for value in row] for row in found])
        after = found[-1][0]


def _lines(rows: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else safe_cell(value)
