"""CSV and its kin: which encoding, which delimiter, and the lines, in bounded memory whatever the file holds."""

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from campaigns.errors import ImportRefused
from campaigns.intake.options import DELIMITERS, Options
from campaigns.intake.table import Broken, Line, Source
from queue_core.texts import grouped

_CHUNK = 1 << 20
_LINE_MAX = 2 << 20
# Of one record: a cell with more of them is nothing about a person.
_LINES_MAX = 1_000
# Characters that are read once more because a quote opened above them was never closed, of the whole file: some dozen
# such rows are a list with faults, and a file that is made of them would take hours.
_AGAIN_MAX = 32 << 20
_SAMPLE_LINES = 20
_SAMPLE_CHARS = 65_536
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NEVER_CLOSED = "a quote is opened and never closed, or a cell is far too long"
_NO_OTHER = "Its delimiter or encoding was not the one expected."
# What Excel writes above the header for its own use.
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Survey:
    """Of a whole file: where it is not in the encoding asked about, and whether it is plain ASCII up to there."""

    broken_at: int | None
    plain: bool


def open_text(raw: BinaryIO, options: Options) -> Source:
    """The lines of a text file. Raises ImportRefused where it cannot be text."""
    encoding, errors, notes = _encoding(raw, options.encoding)
    raw.seek(0)
    text = io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline="")
    start = text.read(_SAMPLE_CHARS)
    match = _SEPARATOR_LINE.match(start)
    text.seek(0)
    delimiter = options.delimiter or (match[1] if match and match[1] in DELIMITERS else _delimiter(start))
    if match:
        text.readline()
    lines = _lines(text, delimiter, 1 if match else 0)
    return Source(lines, "csv", encoding=encoding, delimiter=delimiter, notes=notes, release=text.detach)


def _encoding(raw: BinaryIO, given: str) -> tuple[str, str, list[str]]:
    """(codec, what to do with bytes it does not know, notes). Such bytes become half characters: refused row by row."""
    head = raw.read(4) if raw.seek(0) == 0 else b""
    if given or head.startswith(_UTF_16):
        encoding = {"utf-8": "utf-8-sig"}.get(given, given) or "utf-16"
        wide = encoding.startswith(("utf-16", "utf-32"))
        survey = _survey(raw, encoding, "strict" if wide else "surrogateescape")
        if survey.broken_at is not None:
            raise ImportRefused(f"The file is not {encoding} text (at byte {survey.broken_at}). {_NO_OTHER}")
        return encoding, "strict" if wide else "surrogateescape", []
    survey = _survey(raw, "utf-8-sig", "strict")
    if survey.broken_at is None:
        return "utf-8-sig", "strict", []
    # Proper UTF-8 before the first bad byte: one spoilt row, not another encoding.
    encoding = "cp1252" if survey.plain else "utf-8-sig"
    _survey(raw, encoding, "surrogateescape")
    if survey.plain:
        return encoding, "surrogateescape", ["The file is not UTF-8 and was read as Windows-1252: check the names."]
    return encoding, "surrogateescape", ["Some rows are not UTF-8 like the others: they are among the rejected."]


def _survey(raw: BinaryIO, encoding: str, errors: str) -> _Survey:
    """Read the file once. Raises ImportRefused for a line without end."""
    raw.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    position, plain, unbroken = 0, True, 0
    while chunk := raw.read(_CHUNK):
        try:
            text = decoder.decode(chunk)
        except UnicodeError as exc:
            start = exc.start if isinstance(exc, UnicodeDecodeError) else 0
            return _Survey(position + start, plain and chunk[:start].isascii())
        plain = plain and text.isascii()
        end = max(text.rfind("\n"), text.rfind("\r"))
        unbroken = unbroken + len(text) if end < 0 else len(text) - end
        if unbroken > _LINE_MAX:
            raise ImportRefused(f"A line is longer than {grouped(_LINE_MAX)} characters: this is no list of people.")
        position += len(chunk)
    try:
        decoder.decode(b"", final=True)
    except UnicodeError:
        return _Survey(position, plain)
    return _Survey(None, plain)


def _delimiter(start: str) -> str:
    """The sign at which most lines fall into as many cells as the first one."""
    lines = [line for line in start.splitlines(keepends=True) if line.strip()][:_SAMPLE_LINES]

    def fit(sign: str) -> tuple[int, int]:
        try:
            widths = [len(cells) for cells in csv.reader(lines, delimiter=sign) if cells]
        except csv.Error:
            return 0, 0
        return (widths.count(widths[0]), widths[0]) if widths and widths[0] > 1 else (0, 0)

    return max(DELIMITERS, key=fit)


class _TooLong(csv.Error):
    """A record that goes on for more than a line may have."""


class _Feed:
    """The physical lines, remembering those of the record being read, so that a bad one costs only its first line.

    Raises ImportRefused where most of the file would be read over and over.
    """

    def __init__(self, text: TextIO) -> None:
        self.text = text
        self.ahead: deque[str] = deque()
        self.taken: list[str] = []
        self.chars = self.again = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.ahead.popleft() if self.ahead else next(self.text)
        self.taken.append(line)
        self.chars += len(line)
        if self.chars > _LINE_MAX:
            raise _TooLong("its quoted cells go on for over 2 MiB")
        if len(self.taken) > _LINES_MAX:
            raise _TooLong(_NEVER_CLOSED)
        return line

    def record_ends(self) -> int:
        """How many lines it had."""
        lines, self.chars = len(self.taken), 0
        self.taken.clear()
        return lines

    def back_to_second(self) -> str:
        """The first line, which is over; the others come once more."""
        first, self.again = self.taken[0], self.again + self.chars
        if self.again > _AGAIN_MAX:
            raise ImportRefused(
                "Too many rows open a quote that is never closed: this is no CSV, or its quotes are not doubled. "
                "Export it once more, as CSV or .xlsx."
            )
        self.ahead.extendleft(reversed(self.taken[1:]))
        self.record_ends()
        return first


def _lines(text: TextIO, delimiter: str, number: int) -> Iterator[Line]:
    feed = _Feed(text)
    while True:
        try:
            for cells in csv.reader(feed, delimiter=delimiter, strict=True):
                yield number + 1, cells
                number += feed.record_ends()
            return
        except csv.Error as exc:
            line = feed.back_to_second()
            number += 1
            yield number, Broken(_reason(exc), tuple(line.rstrip("\r\n").split(delimiter)))


def _reason(exc: csv.Error) -> str:
    text = str(exc)
    if isinstance(exc, _TooLong):
        return text
    if "field limit" in text or "unexpected end" in text:
        return _NEVER_CLOSED
    if "expected after" in text:
        return "a quote inside a quoted cell is not doubled"
    return f"cannot be read as CSV: {text}"[:200]
