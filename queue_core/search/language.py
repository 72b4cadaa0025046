"""The text of a search: `state:failed name:campaigns.* age:>1h -tag:x "free words"`. Pure; knows no table.

A query is a row of terms that must all hold. A term is `field:value`, or a word for itself; a minus turns it round. A
value may be one of several (`a,b`), end in `*` (begins with), be compared (`>`, `>=`, `<`, `<=`), or be in quotes, in
which nothing but `\\"` and `\\\\` is special.
"""

import re
from dataclasses import dataclass

from queue_core.errors import QueueError

MAX_CHARS = 2_000
MAX_TERMS = 30
MAX_VALUES = 50

_FIELD = re.compile(r"([A-Za-z_][\w.-]*):", re.ASCII)
_OPERATOR = re.compile(r">=|<=|>|<")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_BARE = re.compile(r'[^\s",]+')
# What may be written without quotes and is read again as the same.
_PLAIN = re.compile(r'[^\s",*<>=\-][^\s",*]*')


class SearchError(QueueError):
    """A search that cannot be understood. `position` is where in the text, from 1."""

    field = "q"

    def __init__(self, reason: str, position: int) -> None:
        self.position = position
        super().__init__(f"{reason} (at character {position})")


@dataclass(frozen=True, slots=True)
class Value:
    """`is_prefix`: it ends in `*`. `is_quoted`: it is text, whatever it looks like."""

    text: str
    is_prefix: bool = False
    is_quoted: bool = False

    def __str__(self) -> str:
        plain = not self.is_quoted and _PLAIN.fullmatch(self.text) and not _FIELD.match(self.text)
        escaped = self.text.replace("\\", "\\\\").replace('"', '\\"')
        return (self.text if plain else f'"{escaped}"') + "*" * self.is_prefix


@dataclass(frozen=True, slots=True)
class Term:
    """`field` is "" for a word for itself; `operator` is "" or a comparison, of one value then."""

    field: str
    values: tuple[Value, ...]
    operator: str = ""
    is_negated: bool = False
    position: int = 1

    def __str__(self) -> str:
        sign = "-" if self.is_negated else ""
        return f"{sign}{self.field}{':' if self.field else ''}{self.operator}{','.join(map(str, self.values))}"


@dataclass(frozen=True, slots=True)
class Query:
    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))


def parse(text: str) -> Query:
    """Raises SearchError, which says what is wrong and where."""
    if len(text) > MAX_CHARS:
        raise SearchError(f"A search has at most {MAX_CHARS} characters, this one {len(text)}", MAX_CHARS)
    for position, char in enumerate(text, 1):
        if char == "\x00" or "\ud800" <= char <= "\udfff":
            raise SearchError("A character that no text can hold; leave it out", position)
    reader = _Reader(text)
    terms: list[Term] = []
    while reader.skip_space():
        if len(terms) == MAX_TERMS:
            raise SearchError(f"A search has at most {MAX_TERMS} terms", reader.at + 1)
        terms.append(reader.term())
    return Query(tuple(terms))


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip_space(self) -> bool:
        """Whether anything is left."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at < len(self.text)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def term(self) -> Term:
        start = self.at
        is_negated = self.text[start] == "-"
        self.at += is_negated
        field = self.take(_FIELD)
        operator = self.take(_OPERATOR) if field else None
        values = [self.value()]
        while self.text[self.at : self.at + 1] == ",":
            if len(values) == MAX_VALUES:
                raise SearchError(f"A term has at most {MAX_VALUES} values", self.at + 1)
            self.at += 1
            values.append(self.value())
        if self.at < len(self.text) and not self.text[self.at].isspace():
            raise SearchError("A quotation mark inside a word; put the whole value in quotes", self.at + 1)
        if len(values) > 1 and (operator or not field):
            what = "A comparison has one value" if operator else "Only field:a,b can list values; quote a text"
            raise SearchError(f"{what}, without a comma", start + 1)
        return Term(field[1] if field else "", tuple(values), operator[0] if operator else "", is_negated, start + 1)

    def value(self) -> Value:
        start = self.at
        if quoted := self.take(_QUOTED):
            text = re.sub(r"\\(.)", r"\1", quoted[1])
            is_prefix = self.text[self.at : self.at + 1] == "*"
            self.at += is_prefix
            found = Value(text, is_prefix, is_quoted=True)
        elif self.text[start : start + 1] == '"':
            raise SearchError('A quotation mark without its partner (inside quotes write \\" and \\\\)', start + 1)
        else:
            bare = self.take(_BARE)
            text = bare[0] if bare else ""
            found = Value(text.removesuffix("*"), text.endswith("*"))
        if not found.text:
            raise SearchError("A value is missing here", start + 1)
        if "*" in found.text and not found.is_quoted:
            raise SearchError("A * stands only at the end of a value; put it in quotes to mean itself", start + 1)
        return found
