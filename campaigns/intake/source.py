"""A file of any kind we read, as lines of cells."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

from campaigns import conf
from campaigns.errors import ImportRefused
from campaigns.intake.options import Options
from campaigns.intake.sheet import open_sheet
from campaigns.intake.table import Broken, Line, Source
from campaigns.intake.text import open_text
from queue_core.csv_export import plain_cell

_MIB = 1024 * 1024
_ZIP, _OLE = b"PK", b"\xd0\xcf\x11\xe0"
# Text by their first bytes, and no list.
_OTHERS = {b"%pdf": "a PDF", b"{\\rtf": "a text document", b"<!doctype": "a web page", b"<html": "a web page"}
_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def open_source(raw: BinaryIO, options: Options) -> Iterator[Source]:
    """What kind of file this is, and its lines. `raw` can be sought, and stays open afterwards.

    Raises ImportRefused with what to do instead.
    """
    source = _opened(raw, options)
    source.lines = _plain(source.lines)
    try:
        yield source
    finally:
        source.release()


def _opened(raw: BinaryIO, options: Options) -> Source:
    size = raw.seek(0, 2)
    limit = conf.get("IMPORT_MAX_MIB")
    if size > limit * _MIB:
        raise ImportRefused(f"The file has more than {limit} MiB: import it in parts.")
    if not size:
        raise ImportRefused("The file is empty.")
    raw.seek(0)
    head = raw.read(4096)
    if head.startswith(_OLE):
        raise ImportRefused("This is an old .xls file, or one with a password. Save it as .xlsx without one.")
    beginning = head[:64].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    other = next((name for sign, name in _OTHERS.items() if beginning.startswith(sign)), "")
    if other:
        raise ImportRefused(f"This is {other}, not a list. Export the sheet as CSV or .xlsx and import that.")
    if head.startswith(_ZIP) and b"\x00" in head:
        return open_sheet(raw, options)
    if not options.encoding and b"\x00" in head and not head.startswith(_BOMS):
        options = replace(options, encoding=_wide(head))
    return open_text(raw, options)


def _plain(lines: Iterator[Line]) -> Iterator[Line]:
    """Without the apostrophes that exports put before what a spreadsheet would run: `'+ann@…` is another address."""
    for number, cells in lines:
        if not isinstance(cells, Broken) and "'" in "".join(cells):
            yield number, [plain_cell(cell) for cell in cells]
        else:
            yield number, cells


def _wide(head: bytes) -> str:
    """UTF-16 without a mark is known by its zeros: every other byte of Latin text."""
    for encoding, zeros, others in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if len(head) >= 8 and zeros.count(0) > 0.6 * len(zeros) and min(others) >= 9:
            return encoding
    raise ImportRefused("This is a binary file, not a list. Export the sheet as CSV or .xlsx and import that.")
