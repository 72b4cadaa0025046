"""XLSX: one sheet of a workbook as lines of text. Sizes are measured before anything is unpacked into memory."""

import datetime
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetVisibleEnum

from campaigns.errors import ImportRefused
from campaigns.intake.options import Options
from campaigns.intake.table import Line, Source
from campaigns.intake.workbook_size import UNREADABLE, check_size

_EXACT = 2**53


def open_sheet(raw: BinaryIO, options: Options) -> Source:
    """The named sheet, or the first one that is shown. Formulas give the value they had when the file was saved."""
    check_size(raw)
    raw.seek(0)
    try:
        book = CalamineWorkbook.from_filelike(raw)
        names = book.sheet_names
        if options.sheet and options.sheet not in names:
            raise ImportRefused(f"There is no sheet “{options.sheet}”; the workbook has: {', '.join(names)[:300]}.")
        if not names:
            raise ImportRefused("The workbook has no sheet.")
        shown = [sheet.name for sheet in book.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible]
        name = options.sheet or (shown or names)[0]
        sheet = book.get_sheet_by_name(name)
    # A damaged file may raise anything in there, a panic of the library included.
    except (CalamineError, ValueError, OSError, KeyError, zipfile.BadZipFile):
        raise ImportRefused(UNREADABLE) from None
    notes = [f"Only the sheet “{name}” is read, of {len(names)}."] if len(names) > 1 and not options.sheet else []
    return Source(_lines(sheet), "xlsx", sheet=name, sheets=names, height=sheet.height, notes=notes)


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
