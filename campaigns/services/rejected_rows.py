from collections.abc import Iterator

from campaigns.intake import Refused, error_rows
from campaigns.models import RecipientImport


def rejected_rows(recipient_import: RecipientImport) -> Iterator[list[object]]:
    """The lines of its error file, the header first: line, email, reason and the row as it stood in the file."""
    rows = recipient_import.rejected_rows.order_by("id").values_list("line", "email", "reason", "cells")
    return error_rows(recipient_import.titles, (Refused(*row) for row in rows.iterator(chunk_size=2_000)))
