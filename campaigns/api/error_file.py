"""The rows an import refused, as a CSV file that a spreadsheet only shows and never runs."""

import csv
from collections.abc import Iterator
from typing import Any

from django.http import StreamingHttpResponse

from campaigns.models import RecipientImport
from campaigns.services import rejected_rows
from queue_core.api.csv_answer import csv_answer


class _Echo:
    """Lets csv.writer hand back the line it wrote."""

    def write(self, line: str) -> str:
        return line


def error_file(recipient_import: RecipientImport) -> StreamingHttpResponse:
    return csv_answer(_lines(recipient_import), f"import-{recipient_import.pk}-errors.csv")


def _lines(recipient_import: RecipientImport) -> Iterator[Any]:
    writer = csv.writer(_Echo())
    return (writer.writerow(row) for row in rejected_rows(recipient_import))
