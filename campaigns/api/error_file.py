"""The rows an import refused, as a CSV file that a spreadsheet only shows and never runs."""

import csv
from collections.abc import Iterator
from typing import Any

from django.http import StreamingHttpResponse

from campaigns.models import RecipientImport, RejectedRow
from queue_core.api.csv_answer import csv_answer
from queue_core.csv_export import safe_cell


class _Echo:
    """Lets csv.writer hand back the line it wrote."""

    def write(self, line: str) -> str:
        return line


def error_file(recipient_import: RecipientImport) -> StreamingHttpResponse:
    return csv_answer(_lines(recipient_import), f"import-{recipient_import.pk}-errors.csv")


def _lines(recipient_import: RecipientImport) -> Iterator[Any]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["line", "email", "reason"])
    rows = RejectedRow.objects.filter(recipient_import=recipient_import).order_by("id")
    for row in rows.values_list("line", "email", "reason").iterator():
        yield writer.writerow([safe_cell(cell) for cell in row])
