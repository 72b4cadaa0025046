"""The rows an import refused, as a file to mend them in and import it again: a spreadsheet only shows it."""

from collections.abc import Iterable, Iterator, Sequence

from campaigns.intake.columns import OURS, is_ours, known_email, own_names, slug
from campaigns.intake.people import Refused
from queue_core.csv_export import safe_cell


def error_rows(
    columns: Iterable[Sequence[str]], refused: Iterable[Refused], *, has_header: bool = True
) -> Iterator[list[object]]:
    """Lines of cells: titles; then each row as it stood in its file, with its line and the reason behind.

    `columns`: (of the file, what it became). Titles that a mapping gave another meaning say what they became, so that
    the file is read without one as it was with it. Rows of a list that was no file have their address alone.
    """
    found = [(title, target) for title, target in columns]
    kept = [i for i, (title, _) in enumerate(found) if not is_ours(title)]
    titles = _titles([found[i] for i in kept], has_header) if found else ["email"]
    yield [safe_cell(title) for title in (*titles, *OURS)]
    for line, email, reason, cells in refused:
        own = [cells[i] if i < len(cells) else "" for i in kept] if found else [email]
        yield [*map(safe_cell, own), line, *map(safe_cell, (reason, *cells[len(found) :]))]


def _titles(columns: list[tuple[str, str]], has_header: bool) -> list[str]:
    own = own_names([title for title, _ in columns])
    titles = [
        title if has_header and name == target else target for name, (title, target) in zip(own, columns, strict=True)
    ]
    email = next((i for i, (_, target) in enumerate(columns) if target == "email"), None)
    if email is None:  # looked at, and nobody has said yet which column it is
        return titles
    titles[email] = columns[email][0]
    # Known by its cells, or by a mapping: mended in part, the file would not tell any more which column it is.
    if not has_header or known_email([slug(title) for title in titles]) != email:
        titles[email] = "email"
    return titles
