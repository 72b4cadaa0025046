"""How a file shall be read; what is not given is found."""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from campaigns.errors import ImportRefused
from campaigns.intake.table import is_storable

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_SPELT = {name: sign for sign, name in DELIMITERS.items()} | {"\\t": "\t"}
# By the names Python gives them; a codec such as `zip` or `idna` is no encoding of a file.
_ENCODINGS = re.compile(
    r"ascii|utf-(?:8|8-sig|16|16-le|16-be|32|32-le|32-be)|cp(?:437|85\d|86\d|874|93\d|94\d|125\d)|iso8859-\d+|mac-\w+"
    r"|koi8-[ru]|shift_jis|euc_(?:jp|kr)|gb(?:2312|k|18030)|big5|tis-620"
)
_MAPPING_MAX = 1_000
_TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Options:
    """`""` and None: to be found. `mapping`: column of the file -> `email`, `name`, an attribute, or "" for ignored."""

    delimiter: str = ""
    encoding: str = ""
    header: bool | None = None
    sheet: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)

    def reading(self) -> dict[str, Any]:
        """All of it but the mapping."""
        return {name: value for name, value in asdict(self).items() if name != "mapping"}

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "mapping": dict(self.mapping)}


def read_options(
    *, delimiter: str = "", encoding: str = "", header: bool | None = None, sheet: str = "", mapping: Any = None
) -> Options:
    """The options as people write them: `tab` for a tab, `latin1`, a mapping as an object or its JSON text, null for
    ignored. Raises ImportRefused with what to write instead."""
    if not isinstance(sheet, str) or len(sheet) > _TEXT_MAX or not is_storable(sheet):
        raise ImportRefused(
            f"The sheet is named by a text of at most {_TEXT_MAX} characters, each of them a whole one."
        )
    if header is not None and not isinstance(header, bool):
        raise ImportRefused("Whether there is a header is told by true or false, or left out.")
    return Options(_delimiter(delimiter), _encoding(encoding), header, sheet, _mapping(mapping))


def _delimiter(given: Any) -> str:
    sign = _SPELT.get(given, given) if isinstance(given, str) else None
    if sign == "" or sign in DELIMITERS:
        return str(sign)
    raise ImportRefused(f"The delimiter is one of {', '.join(DELIMITERS.values())}.")


def _encoding(given: Any) -> str:
    if given == "":
        return ""
    try:
        name = codecs.lookup(given).name
    except (LookupError, TypeError, ValueError):
        name = ""
    if not _ENCODINGS.fullmatch(name):
        raise ImportRefused("This encoding is not known. Usual ones: utf-8, utf-16, windows-1252, iso-8859-15.")
    return name


def _mapping(given: Any) -> dict[str, str]:
    try:
        found = json.loads(given) if isinstance(given, str) and given.strip() else given or {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping) or len(found) > _MAPPING_MAX:
        raise ImportRefused('The mapping is an object such as {"E-Mail-Adresse": "email", "Notes": null}.')
    return dict(_pair(column, target) for column, target in found.items())


def _pair(column: Any, target: Any) -> tuple[str, str]:
    target = "" if target is None else target
    if not isinstance(column, str) or not isinstance(target, str) or len(target) > _TEXT_MAX:
        raise ImportRefused(
            "The mapping has a column's name on its left and email, name, an attribute or null on its right."
        )
    if not is_storable(column + target):
        raise ImportRefused("The mapping holds a NUL or half a character.")
    return column.strip(), target.strip()
