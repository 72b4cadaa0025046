from collections.abc import Iterator

from campaigns.intake import Refused, error_rows
from campaigns.models import RecipientImport


def rejected_rows(recipient_import: RecipientImport) -> Iterator[list[object]]:
    """The lines of its error file, the header first, as of `error_rows`."""
    rows = recipient_import.rejected_rows.order_by("id").values_list("line", "email", "reason", "cells")
    found = recipient_import.found
    refused = (Refused(*row) for row in rows.iterator(chunk_size=2_000))
    return error_rows(found.get("columns", []), refused, has_header=found.get("header", True))
