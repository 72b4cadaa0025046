"""XLSX: one sheet of a workbook as lines of text. Sizes are measured before anything is unpacked into memory."""

import datetime
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from campaigns import conf
from campaigns.errors import ImportRefused
from campaigns.intake.options import Options
from campaigns.intake.table import Line, Source

_MIB = 1024 * 1024
_MEMBERS_MAX = 10_000
# The reader lays a sheet out in full, so that one cell in its far corner would cost as much as all between.
_CELLS_MAX = 30_000_000
_REFERENCE = re.compile(rb"""[\s]r\s*=\s*["']([A-Z]{1,4})([0-9]{1,9})["']""")
_OVERLAP = 64
_EXACT = 2**53
_UNREADABLE = "This workbook cannot be read. Save it again as .xlsx, or export the sheet as CSV."


def open_sheet(raw: BinaryIO, options: Options) -> Source:
    """The named sheet, or the first one. Formulas give the value they had when the file was saved."""
    _check(raw)
    raw.seek(0)
    try:
        book = CalamineWorkbook.from_filelike(raw)
        names = book.sheet_names
        if options.sheet and options.sheet not in names:
            raise ImportRefused(f"There is no sheet “{options.sheet}”; the workbook has: {', '.join(names)[:300]}.")
        if not names:
            raise ImportRefused("The workbook has no sheet.")
        name = options.sheet or names[0]
        sheet = book.get_sheet_by_name(name)
    # A damaged file may raise anything in there, a panic of the library included.
    except (CalamineError, ValueError, OSError, KeyError, zipfile.BadZipFile):
        raise ImportRefused(_UNREADABLE) from None
    notes = [f"Only the sheet “{name}” is read, of {len(names)}."] if len(names) > 1 and not options.sheet else []
    return Source(_lines(sheet), "xlsx", sheet=name, height=sheet.height, notes=notes)


def _lines(sheet: CalamineSheet) -> Iterator[Line]:
    for number, row in enumerate(sheet.iter_rows(), start=1):
        cells = [cell if type(cell) is str else _text(cell) for cell in row]
        # A sheet is a rectangle: what is empty on the right belongs to no column.
        while cells and not cells[-1]:
            cells.pop()
        yield number, cells


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)
    if isinstance(value, datetime.datetime):
        return str(value.date()) if value.time() == datetime.time() else value.isoformat(sep=" ")
    return "" if value is None else str(value)


def _check(raw: BinaryIO) -> None:
    """Refuse what is no workbook, and what would unpack to more than the limit, by unpacking it to nowhere."""
    raw.seek(0)
    try:
        with zipfile.ZipFile(raw) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise ImportRefused(_UNREADABLE) from None
    names = {member.filename for member in members}
    if "xl/workbook.xml" not in names:
        other = "This is an .ods file" if "content.xml" in names else "This archive is no .xlsx workbook"
        raise ImportRefused(f"{other}. Save the sheet as .xlsx or CSV and import that.")
    if len(members) > _MEMBERS_MAX:
        raise ImportRefused("The workbook has too many parts. Export the sheet as CSV.")
    limit = conf.get("IMPORT_UNPACKED_MAX_MIB") * _MIB
    for member in members:
        limit -= _measure(raw, member, limit)


def _measure(raw: BinaryIO, member: zipfile.ZipInfo, limit: int) -> int:
    """Bytes a part unpacks to, whatever it says itself. Raises ImportRefused above `limit`."""
    is_sheet = member.filename.startswith("xl/worksheets/")
    size, width, height, tail = 0, 0, 0, b""
    for piece in _unpacked(raw, member):
        size += len(piece)
        if size > limit:
            raise ImportRefused(
                f"Unpacked, the workbook has more than {conf.get('IMPORT_UNPACKED_MAX_MIB')} MiB. Export it as CSV."
            )
        if is_sheet:
            tail += piece
            columns, rows = _extent(tail)
            width, height, tail = max(width, columns), max(height, rows), tail[-_OVERLAP:]
            if width * height > _CELLS_MAX:
                raise ImportRefused("The sheet has a cell far from the others. Delete it, or export the sheet as CSV.")
    return size


def _extent(xml: bytes) -> tuple[int, int]:
    found = _REFERENCE.findall(xml)
    columns = {letters for letters, _ in found}
    return max(map(_column, columns), default=0), max(map(int, {row for _, row in found}), default=0)


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _unpacked(raw: BinaryIO, member: zipfile.ZipInfo) -> Iterator[bytes]:
    raw.seek(member.header_offset)
    local = raw.read(30)
    if len(local) < 30 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ImportRefused(_UNREADABLE)
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
        raise ImportRefused(_UNREADABLE) from None
