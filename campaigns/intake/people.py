"""The people of a file, or of a list that came as JSON: each row accepted, or refused with its reason."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from campaigns.addresses import AddressError, parse_address
from campaigns.intake.columns import Columns
from campaigns.intake.table import UNSTORABLE, Broken, Line, is_storable, storable

_CELL_MAX = 10_000
_NAME_MAX = 320
_ATTRIBUTES_MAX = 100_000
# Of a refused row: many of them are held in memory.
_KEPT_CELLS = 200
_KEPT_CHARS = 5_000


class Accepted(NamedTuple):
    """A row as it is staged; `attributes` is JSON text."""

    line: int
    key: str
    email: str
    name: str
    attributes: str


class Refused(NamedTuple):
    """A row that cannot be mailed to, with the address as it was given, the reason, and what its cells were.

    A row that could be kept only in part has no cells: mended and imported again, it would have lost the others.
    """

    line: int
    email: str
    reason: str
    cells: Sequence[str] = ()


# None is a blank line.
Rows = Iterator[Accepted | Refused | None]


def read_rows(columns: Columns, lines: Iterable[Line]) -> Rows:
    """The people below the header."""
    email_at, packed_at = columns.email, columns.packed
    dump = json.JSONEncoder(ensure_ascii=False).encode
    for line, cells in lines:
        if isinstance(cells, Broken):
            yield _refused(line, cells.pieces, email_at, cells.reason)
            continue
        text = "".join(cells)
        if not text or text.isspace():
            yield None
            continue
        try:
            packed = cells[packed_at] if packed_at is not None and packed_at < len(cells) else ""
            _check_cells(cells, len(text) - len(packed), text, columns)
            key, email = _address(cells[email_at])
            # An empty cell is an absent value: templates then name it as missing, or take their default.
            count = len(cells)
            attributes = {title: value for i, title in columns.attributes if i < count and (value := cells[i].strip())}
            held = _unpacked(packed) if packed else dump(attributes)
        except AddressError as exc:
            yield _refused(line, cells, email_at, exc.reason)
            continue
        name = " ".join(" ".join(cells[i] for i in columns.names if i < count).split())[:_NAME_MAX]
        yield Accepted(line, key, email, name, held)


def _address(cell: str) -> tuple[str, str]:
    address = parse_address(cell)
    return address.key, address.email


def _unpacked(cell: str) -> str:
    try:
        attributes = json.loads(cell)
    except (ValueError, RecursionError):
        raise AddressError("the attributes are not JSON") from None
    return _listed_attributes({"attributes": attributes})


def _check_cells(cells: list[str], size: int, text: str, columns: Columns) -> None:
    """`size`: characters of all cells but one that holds attributes, which has a limit of its own."""
    width = len(columns.titles)
    if len(cells) > width and any(cell.strip() for cell in cells[width:]):
        raise AddressError(f"{len(cells)} cells, the header has {width}")
    if len(cells) <= columns.email:
        raise AddressError("no cell for the address")
    if not is_storable(text):
        raise AddressError(UNSTORABLE)
    if size <= _CELL_MAX:
        return
    longest = max(len(cell) for i, cell in enumerate(cells) if i != columns.packed)
    if size > _ATTRIBUTES_MAX or longest > _CELL_MAX:
        raise AddressError("a cell is longer than 10 000 characters, or the row than 100 000")


def _refused(line: int, cells: Sequence[str], email_at: int, reason: str) -> Refused:
    email = cells[email_at] if len(cells) > email_at else ""
    if len(cells) > _KEPT_CELLS or sum(map(len, cells)) > _KEPT_CHARS:
        return Refused(line, _shown(email), f"{reason[:160]}; too long to be repeated here")
    return Refused(line, _shown(email), reason[:200], [storable(cell) for cell in cells])


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
    if not isinstance(name, str) or not is_storable(name):
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
    if len(text) > _ATTRIBUTES_MAX or not is_storable(text) or "\\u0000" in text:
        raise AddressError("the attributes hold a NUL or half a character, or over 100 000 characters")
    return text


def _shown(email: str) -> str:
    """The address as a report can keep it."""
    return storable(email)[:320]
