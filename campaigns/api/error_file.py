"""The rows an import refused, as a CSV file that a spreadsheet only shows and never runs."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from campaigns.models import RecipientImport, RejectedRow

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class AnyMediaType(BaseContentNegotiation):
    """The file is CSV whatever is accepted; its errors are JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)


class _Echo:
    """Lets csv.writer hand back the line it wrote."""

    def write(self, line: str) -> str:
        return line


def error_file(recipient_import: RecipientImport) -> StreamingHttpResponse:
    response = StreamingHttpResponse(_lines(recipient_import), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{recipient_import.pk}-errors.csv"'
    return response


def _lines(recipient_import: RecipientImport) -> Iterator[Any]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["line", "email", "reason"])
    rows = RejectedRow.objects.filter(recipient_import=recipient_import).order_by("id")
    for row in rows.values_list("line", "email", "reason").iterator():
        yield writer.writerow([_plain(cell) for cell in row])


def _plain(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
