"""What a workbook would take in memory, found by unpacking it to nowhere."""

import re
import struct
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO
from xml.parsers import expat

from campaigns import conf
from campaigns.errors import ImportRefused

_MIB = 1024 * 1024
_MEMBERS_MAX = 10_000
# The reader lays a sheet out in full, so that one cell in its far corner would cost as much as all between: 32 bytes.
_CELLS_MAX = 10_000_000
# Cells that say where they are, as spreadsheets write them: neither texts nor values of attributes can pretend to.
_OPENED = rb"<(?:[^\s<>:/='\"]+:)?"
_PLACED = re.compile(_OPENED + rb"""c(?:\s+[\w:]+="[^"<>]*")*?\s+r="([A-Z]{1,4})([0-9]{1,9})\"""")
# These begin with a letter, which is looked for several times faster than a choice; found too often, they only add.
# In every form that the reader takes, also small letters and numbers that no sheet has.
_REFERENCE = re.compile(rb"""r\s*=\s*["']([A-Za-z]+)([0-9]+)["']""")
# No pattern looks on from one text to the end of another: what is written often in a long text would be looked at
# often, too.
_ROW_NUMBER = re.compile(_OPENED + rb"""row\s(?:[^<>"']|"[^"<]*"|'[^'<]*')*?\br\s*=\s*["']([0-9]+)["']""")
_DIGITS_MAX = 9
# A cell that shows one of the shared texts, and which one, where it is written as every spreadsheet writes it.
_SHARED = re.compile(rb"""t\s*=\s*["']s["'](?:[^<>]{0,200}>\s*<(?:\w+:)?v>(\d{1,9})</(?:\w+:)?v>\s*</(?:\w+:)?c>)?""")
_CELL = re.compile(_OPENED + rb"c[\s/>]")
_ROW = re.compile(_OPENED + rb"row[\s/>]")
_OVERLAP = 64
UNREADABLE = "This workbook cannot be read. Save it again as .xlsx, or export the sheet as CSV."


def check_size(raw: BinaryIO) -> None:
    """Raises ImportRefused for what is no workbook, and for one above the limits, whatever it says of itself."""
    limit = conf.get("IMPORT_UNPACKED_MAX_MIB") * _MIB
    texts, left = _Texts(), limit
    for member in sorted(_members(raw), key=lambda member: not _holds_texts(member)):
        meter = texts if _holds_texts(member) else _Sheet(texts, limit)
        left -= _measure(raw, member, left, meter)


def _members(raw: BinaryIO) -> list[zipfile.ZipInfo]:
    raw.seek(0)
    try:
        with zipfile.ZipFile(raw) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise ImportRefused(UNREADABLE) from None
    names = {member.filename for member in members}
    if "xl/workbook.xml" not in names:
        other = "This is an .ods file" if "content.xml" in names else "This archive is no .xlsx workbook"
        raise ImportRefused(f"{other}. Save the sheet as .xlsx or CSV and import that.")
    if len(members) > _MEMBERS_MAX:
        raise ImportRefused("The workbook has too many parts. Export the sheet as CSV.")
    if sum(map(_holds_texts, members)) > 1:
        raise ImportRefused(UNREADABLE)
    return members


def _holds_texts(member: zipfile.ZipInfo) -> bool:
    """By the name that the reader looks for, as it compares names."""
    return member.filename.replace("\\", "/").lower() == "xl/sharedstrings.xml"


def _measure(raw: BinaryIO, member: zipfile.ZipInfo, limit: int, meter: "_Texts | _Sheet") -> int:
    """Bytes a part unpacks to. Raises ImportRefused above `limit`."""
    size = 0
    for piece in _unpacked(raw, member):
        size += len(piece)
        if size > limit:
            raise ImportRefused(
                f"Unpacked, the workbook has more than {conf.get('IMPORT_UNPACKED_MAX_MIB')} MiB. Export it as CSV."
            )
        meter.feed(piece)
    meter.end()
    return size


class _Texts:
    """The texts that cells refer to by number: how long each is, in bytes of XML."""

    def __init__(self) -> None:
        self.sizes = array("I")
        self.longest = 0
        self._began: int | None = None
        self._parser = parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        # Nothing that a spreadsheet writes, and entities could grow.
        parser.StartDoctypeDeclHandler = _refuse

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.Parse(piece)
        except expat.ExpatError:
            raise ImportRefused(UNREADABLE) from None

    def end(self) -> None:
        # Breaks the circle of references at once.
        self._parser.StartElementHandler = self._parser.EndElementHandler = None

    def of(self, number: bytes) -> int:
        """The size of a text; of the longest where its number was not found."""
        return self.sizes[int(number)] if number and int(number) < len(self.sizes) else self.longest

    def _start(self, name: str, attributes: object) -> None:
        if name.rpartition(":")[2] == "si":
            if self._began is not None:
                _refuse()
            self._began = self._parser.CurrentByteIndex

    def _end(self, name: str) -> None:
        if self._began is not None and name.rpartition(":")[2] == "si":
            size = self._parser.CurrentByteIndex - self._began
            self.sizes.append(size)
            if len(self.sizes) > _CELLS_MAX:
                _refuse()
            self.longest = max(self.longest, size)
            self._began = None


def _refuse(*declared: object) -> None:
    raise ImportRefused(UNREADABLE)


class _Sheet:
    """A part that may be a sheet, wherever it lies: how far it reaches, and how much text its cells show in all.

    The reader copies a shared text into every cell that shows it.
    """

    def __init__(self, texts: _Texts, limit: int) -> None:
        self.texts, self.limit = texts, limit
        self.is_sheet = False
        self.width = self.height = self.shown = 0
        # Where cells do not say where they are: how many follow one another in a row, and rows in the sheet.
        self.in_row = self.longest_row = self.rows = 0
        self.tail = b""

    def feed(self, piece: bytes) -> None:
        xml = self.tail + piece
        self.is_sheet = self.is_sheet or b"sheetData" in xml
        if not self.is_sheet:
            self.tail = xml[-_OVERLAP:]
            return
        # Behind the last whole cell, so that none is cut, or counted twice; a cell of over a MiB is none of ours.
        end = xml.rfind(b"c>") + 2 if b"c>" in xml else 0
        end = end if len(xml) - end < _MIB else len(xml)
        self._count(xml[:end])
        self.tail = xml[end:]

    def end(self) -> None:
        self._count(self.tail if self.is_sheet else b"")

    def _count(self, cells: bytes) -> None:
        self._place(cells)
        if (self.width + self.longest_row) * (self.height + (self.rows if self.longest_row else 0)) > _CELLS_MAX:
            raise ImportRefused("The sheet has a cell far from the others. Delete it, or export the sheet as CSV.")
        self.shown += sum(self.texts.of(number) * count for number, count in Counter(_SHARED.findall(cells)).items())
        if self.shown > self.limit:
            raise ImportRefused(
                f"The cells of the sheet hold more than {self.limit // _MIB} MiB of text. Export it as CSV."
            )

    def _place(self, cells: bytes) -> None:
        found = _PLACED.findall(cells)
        if len(_CELL.findall(cells)) > len(found):
            found += _REFERENCE.findall(cells)
            lengths = [len(_CELL.findall(row)) for row in _ROW.split(cells)]
            lengths[0] += self.in_row
            self.in_row, self.longest_row = lengths[-1], max(self.longest_row, *lengths)
        rows = {row for _, row in found} | set(_ROW_NUMBER.findall(cells))
        self.width = max(self.width, *map(_column, {letters for letters, _ in found}), 0)
        self.height = max(self.height, *map(_row, rows), 0)
        self.rows += cells.count(b"<row") + cells.count(b":row")


def _row(digits: bytes) -> int:
    return int(digits) if len(digits) <= _DIGITS_MAX else 10**_DIGITS_MAX


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters[:_DIGITS_MAX].upper():
        number = number * 26 + letter - 64
    return number


def _unpacked(raw: BinaryIO, member: zipfile.ZipInfo) -> Iterator[bytes]:
    raw.seek(member.header_offset)
    local = raw.read(30)
    if len(local) < 30 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ImportRefused(UNREADABLE)
    raw.seek(sum(struct.unpack("<HH", local[26:30])), 1)
    inflate = zlib.decompressobj(-15) if member.compress_type == zipfile.ZIP_DEFLATED else None
    left = member.compress_size
    try:
        while left > 0 and (packed := raw.read(min(left, 65_536))):
            left -= len(packed)
            if inflate is None:
                yield packed
            while inflate is not None and packed:
                yield inflate.decompress(packed, _MIB)
                packed = inflate.unconsumed_tail
    except zlib.error:
        raise ImportRefused(UNREADABLE) from None
