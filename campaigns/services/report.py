from dataclasses import dataclass, field
from typing import Any

from campaigns.intake import Columns, Refused, Sample, Source

NUMBERS = ("records", "created", "duplicates", "existing", "invalid", "suppressed", "blank")


@dataclass(slots=True)
class Report:
    """What became of a file or list: each row is created, a duplicate, existing or invalid.

    `rejected` holds the first (line, address, reason, cells); a file's header is line 1. `found` says how the file
    was read, see `how_read`.
    """

    records: int = 0
    created: int = 0
    duplicates: int = 0
    existing: int = 0
    invalid: int = 0
    suppressed: int = 0
    blank: int = 0
    rejected: list[Refused] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)

    def add(self, other: "Report", *, kept: int) -> None:
        """What became of further rows; of the rejected ones, `kept` are enough."""
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.rejected += other.rejected[: max(0, kept - len(self.rejected))]

    def numbers(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in NUMBERS}


def how_read(source: Source, columns: Columns | Sample) -> dict[str, Any]:
    """`kind`, `encoding`, `delimiter`, `sheet`, `header`, `columns` ([of the file, what it became]), `notes`.

    `sheets`, of a workbook: the names of all.
    """
    return {
        **({"sheets": list(source.sheets)} if source.sheets else {}),
        **{name: getattr(source, name) for name in ("kind", "encoding", "delimiter", "sheet", "notes")},
        "header": columns.has_header,
        "columns": [list(pair) for pair in columns.targets()],
    }
