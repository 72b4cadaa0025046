"""What the readers of all formats answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that has no cells, and why."""

    reason: str


# (number of the line, the first one being 1; its cells)
Line = tuple[int, list[str] | Broken]


@dataclass(slots=True)
class Source:
    """An opened file: what was found about it, and its lines. `notes` are sentences for whoever imports it.

    `height`: how many lines there are; 0 where only the end tells.
    """

    lines: Iterator[Line]
    kind: str
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    height: int = 0
    notes: list[str] = field(default_factory=list)
    release: Callable[[], object] = lambda: None
