"""What an import reads: the rows of a CSV file, or a list that came as JSON."""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, TextIO

from campaigns.addresses import Address, AddressError, parse_address
from campaigns.errors import ImportRefused

EMAIL_COLUMNS = ("email", "e_mail", "email_address", "e_mail_address", "mail", "address")
_NAME_COLUMNS = ("name", "full_name")
_DELIMITERS = ",;\t|"
_CELL_MAX = 10_000
_HEADER_MAX = 65_536
_NAME_MAX = 320
_ATTRIBUTES_MAX = 100_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Accepted(NamedTuple):
    """A row as it is staged; `attributes` is JSON text."""

    line: int
    key: str
    email: str
    name: str
    attributes: str


class Refused(NamedTuple):
    """A row that cannot be mailed to, with the address as it was given and the reason."""

    line: int
    email: str
    reason: str


# None is a blank line.
Rows = Iterator[Accepted | Refused | None]


def slug(header: str) -> str:
    """`E-mail` -> `e_mail`: how a column is called in templates."""
    return re.sub(r"\W+", "_", header.strip().lower()).strip("_")


@contextmanager
def open_text(raw: BinaryIO) -> Iterator[TextIO]:
    """The file as text; UTF-8 (with or without BOM) or UTF-16 with BOM. Raises ImportRefused for anything binary."""
    head = raw.read(4096)
    raw.seek(0)
    if not head:
        raise ImportRefused("The file is empty.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\x00" in head:
        raise ImportRefused("This is a binary file, not a CSV. Export the sheet as “CSV UTF-8” and import that.")
    else:
        encoding = "utf-8-sig"
    text = io.TextIOWrapper(raw, encoding=encoding, newline="")
    try:
        yield text
    finally:
        text.detach()  # the file is the caller's to close


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the header put what; `line` is the header's own line in the file."""

    email: int
    names: tuple[int, ...]
    attributes: tuple[tuple[int, str], ...]
    width: int
    line: int


def _first_line(text: TextIO) -> tuple[int, str]:
    """(number, text) of the first line that is not blank."""
    number, line = 1, text.readline(_HEADER_MAX)
    while line and not line.strip():
        number, line = number + 1, text.readline(_HEADER_MAX)
    return number, line


def csv_rows(text: TextIO) -> Rows:
    """The rows below the first line that is not blank, which names the columns. Raises ImportRefused, also on the way
    where the file stops being a CSV."""
    columns, reader = _read_header(text)
    return _csv_rows(columns, reader)


def _read_header(text: TextIO) -> tuple[Columns, Any]:
    try:
        number, first = _first_line(text)
    except UnicodeError:
        raise ImportRefused("The file is not UTF-8 text. Save it as “CSV UTF-8” and import that.") from None
    delimiter = max(_DELIMITERS, key=first.count)
    headers = [slug(cell) for cell in next(csv.reader([first], delimiter=delimiter), [])]
    email = next((headers.index(name) for name in EMAIL_COLUMNS if name in headers), None)
    if email is None:
        shown = ", ".join(header for header in headers if header)[:200] or "nothing"
        raise ImportRefused(f"No e-mail column in the header (found: {shown}). Name one of the columns “email”.")
    twice = sorted({header for header in headers if header and headers.count(header) > 1})
    if twice:
        raise ImportRefused(f"Two columns are called “{twice[0]}”; every column needs a name of its own.")
    whole = tuple(headers.index(name) for name in _NAME_COLUMNS if name in headers)[:1]
    parts = tuple(headers.index(name) for name in ("first_name", "last_name") if name in headers)
    attributes = tuple((i, header) for i, header in enumerate(headers) if header and i != email)
    return Columns(email, whole or parts, attributes, len(headers), number), csv.reader(text, delimiter=delimiter)


def _csv_rows(columns: Columns, reader: Any) -> Rows:
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield _csv_row(reader.line_num + columns.line, row, columns)
            else:
                yield None
    except UnicodeError as exc:
        near = reader.line_num + columns.line + 1
        raise ImportRefused(f"The file is not UTF-8 text (near line {near}: {exc}). Save it as “CSV UTF-8”.") from None
    except csv.Error as exc:
        raise ImportRefused(f"Line {reader.line_num + columns.line} cannot be read as CSV: {exc}.") from None


def _csv_row(line: int, row: list[str], columns: Columns) -> Accepted | Refused:
    try:
        address = _csv_address(row, columns)
    except AddressError as exc:
        return Refused(line, _shown(row[columns.email] if len(row) > columns.email else ""), exc.reason[:200])
    name = " ".join(row[i].strip() for i in columns.names if i < len(row) and row[i].strip())[:_NAME_MAX]
    # An empty cell is an absent value: templates then name it as missing, or take their default.
    attributes = {key: row[i].strip() for i, key in columns.attributes if i < len(row) and row[i].strip()}
    return Accepted(line, address.key, address.email, name, json.dumps(attributes, ensure_ascii=False))


def _csv_address(row: list[str], columns: Columns) -> Address:
    if len(row) > columns.width and any(cell.strip() for cell in row[columns.width :]):
        raise AddressError(f"{len(row)} cells, the header has {columns.width}")
    if len(row) <= columns.email:
        raise AddressError("no cell for the address")
    if any("\x00" in cell or len(cell) > _CELL_MAX for cell in row):
        raise AddressError("a cell holds a NUL character or is longer than 10 000 characters")
    return parse_address(row[columns.email])


def listed_rows(people: Iterable[Any]) -> Rows:
    """A row for each `{"email", "name"?, "attributes"?: {}}`; the first one is line 1."""
    return (_listed_row(line, person) for line, person in enumerate(people, start=1))


def _listed_row(line: int, person: Any) -> Accepted | Refused:
    try:
        if not isinstance(person, Mapping) or not isinstance(person.get("email"), str):
            raise AddressError("not an object with a text “email”")
        unknown = sorted(map(str, person.keys() - {"email", "name", "attributes"}))
        if unknown:
            raise AddressError(f"unknown field “{unknown[0]}”; put it under attributes")
        address = parse_address(person["email"])
        return Accepted(line, address.key, address.email, _listed_name(person), _listed_attributes(person))
    except AddressError as exc:
        email = person.get("email", "") if isinstance(person, Mapping) else ""
        return Refused(line, _shown(str(email)), exc.reason[:200])


def _listed_name(person: Mapping[str, Any]) -> str:
    name = person.get("name", "")
    if not isinstance(name, str) or not _storable(name):
        raise AddressError("the name is no text, or holds a NUL or half a character")
    return " ".join(name.split())[:_NAME_MAX]


def _listed_attributes(person: Mapping[str, Any]) -> str:
    attributes = person.get("attributes", {})
    if not isinstance(attributes, Mapping):
        raise AddressError("the attributes are not an object")
    try:
        text = json.dumps(attributes, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise AddressError("the attributes are not JSON") from None
    if len(text) > _ATTRIBUTES_MAX or not _storable(text) or "\\u0000" in text:
        raise AddressError("the attributes hold a NUL or half a character, or over 100 000 characters")
    return text


def _storable(text: str) -> bool:
    return not _UNSTORABLE.search(text)


def _shown(email: str) -> str:
    """The address as a report can keep it."""
    return _UNSTORABLE.sub("", email)[:320]
