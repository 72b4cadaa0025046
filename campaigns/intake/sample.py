"""The first rows of a file and what would become of its columns: what a person looks at before importing it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from campaigns.errors import ImportRefused
from campaigns.intake.columns import Beginning, columns_of, email_column, names_of, read_beginning
from campaigns.intake.options import Options
from campaigns.intake.table import UNSTORABLE, Broken, Line, Source, is_storable, storable


@dataclass(frozen=True, slots=True)
class Sample:
    """`names`: what each column becomes, email, an attribute or "". `problem`: why it cannot be imported so, or ""."""

    top: Beginning
    names: Sequence[str]
    problem: str

    @property
    def has_header(self) -> bool:
        return self.top.has_header

    def targets(self) -> list[tuple[str, str]]:
        """As of Columns."""
        return list(zip(self.top.titles, self.names, strict=True))

    def rows(self) -> list[tuple[int, list[str], str]]:
        """(line, its cells as they can be shown, one for each column; what is wrong with the line as such, or "")."""
        width = len(self.top.titles)
        return [_shown(line, width) for line in self.top.below]


def _shown(line: Line, width: int) -> tuple[int, list[str], str]:
    number, cells = line
    if isinstance(cells, Broken):
        return number, [""] * width, cells.reason
    reason = "" if is_storable("".join(cells)) else UNSTORABLE
    return number, [*map(storable, cells[:width]), *[""] * (width - len(cells))], reason


def read_sample(source: Source, options: Options) -> Sample:
    """Raises ImportRefused for what is no list or a mapping that does not fit; an address that cannot be found, or two
    columns of one name, are a problem of the sample."""
    top = read_beginning(source, options)
    names = names_of(top, options)
    problem = ""
    try:
        names[email_column(top, names, replace(source, notes=[]))] = "email"
        columns_of(top, names, source)
    except ImportRefused as exc:
        problem = str(exc)
    return Sample(top, names, problem)


def column_key(top: Beginning, position: int) -> str:
    """How a mapping names a column: by its title, or by its number where that tells it from no other."""
    title = top.titles[position]
    return title if title and top.titles.count(title) == 1 else f"#{position + 1}"
