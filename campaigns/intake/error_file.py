"""The rows an import refused, as a file to mend them in: a spreadsheet only shows it and never runs it."""

from collections.abc import Iterable, Iterator, Sequence

from campaigns.intake.people import Refused
from queue_core.csv_export import safe_cell


def error_rows(titles: Sequence[str], refused: Iterable[Refused]) -> Iterator[list[object]]:
    """Lines of cells: line, address and reason of each row, then the row itself under the `titles` of its file."""
    yield [safe_cell(title) for title in ("line", "email", "reason", *titles)]
    for line, email, reason, cells in refused:
        yield [line, *map(safe_cell, (email, reason, *(cells if titles else ())))]
