"""What the readers of all formats answer."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

# What neither a page can show nor the database hold: NUL, and the half characters that stand for unknown bytes.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
UNSTORABLE = "a NUL character, or bytes that are not in the file's encoding"


def is_storable(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or not _UNSTORABLE.search(text))


def storable(text: str) -> str:
    """What can be shown of it."""
    return _UNSTORABLE.sub("\ufffd", text)


@dataclass(frozen=True, slots=True)
class Broken:
    """A line whose cells cannot be told, and why; `pieces`: what is between its delimiters, with all its quotes."""

    reason: str
    pieces: tuple[str, ...] = ()


# (number of the line, the first one being 1; its cells)
Line = tuple[int, list[str] | Broken]


@dataclass(slots=True)
class Source:
    """An opened file: what was found about it, and its lines. `notes` are sentences for whoever imports it.

    `height`: how many lines there are; 0 where only the end tells. `sheets`: all that the workbook has.
    """

    lines: Iterator[Line]
    kind: str
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    sheets: Sequence[str] = ()
    height: int = 0
    notes: list[str] = field(default_factory=list)
    release: Callable[[], object] = lambda: None
