"""HTML and MJML as their author wrote them: read tag by tag, never rearranged.

Jinja's tags ({{ }}, {% %}, {# #}) are set aside first, so that what they hold is not taken for markup. Every expression
is linear in its input, also where the markup is broken.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape as _unescape

# Private-use characters mark where a tag was set aside: they are neither space nor markup.
OPEN, CLOSE = "\ue000", "\ue001"
MARK = re.compile(f"{OPEN}(\\d+){CLOSE}")
# Elements that hold nothing, closed or not.
VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_OPENER = re.compile(r"\{[{%#]")
_CLOSERS = {"{{": "}}", "{%": "%}", "{#": "#}"}
_WORD = re.compile(r"\{%[-+]?\s*(\w+)")
_TOKEN = re.compile(
    rf"""<!--.*?(?:-->|\Z)
      | <(?P<raw>style|script)\b(?P<raw_attributes>(?:[^<>"']++|"[^"]*+"|'[^']*+')*+)>
        (?P<inside>.*?)(?:</(?P=raw)\s*>|\Z)
      | <(?P<close>/?)(?P<name>[a-z][a-z0-9:-]*+)(?P<attributes>(?:[^<>"']++|"[^"]*+"|'[^']*+')*+)>
      | {OPEN}(?P<mark>\d+){CLOSE}""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
# No character has a number as long; Python would refuse to read one of thousands of digits.
_NO_CHARACTER = re.compile(r"&#\d{9,}+;?")
_ATTRIBUTE = re.compile(r"""([^\s"'<>=/]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'<>]++)))?+""")


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag. A style or script is one tag too, with what it holds `inside`; `start` and `end` are its place."""

    name: str
    start: int
    end: int
    line: int
    source: str = ""
    closes: bool = False
    inside: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return self.source.rstrip().endswith("/")


@dataclass(frozen=True, slots=True)
class Mark:
    """A tag of Jinja between the tags of the markup; `word` is its keyword, blank for {{ }} and {# #}."""

    tag: str
    word: str
    line: int


def set_tags_aside(source: str) -> tuple[str, list[str]]:
    """`source` with each of Jinja's tags replaced by a numbered mark, and the tags."""
    tags: list[str] = []
    pieces: list[str] = []
    closers = dict(_CLOSERS)
    end = place = 0
    while opener := _OPENER.search(source, place):
        closer = closers.get(opener[0])
        closed = source.find(closer, opener.end()) if closer else -1
        if closed < 0:
            # Nor will any other of this kind be closed: looking again and again would take for ever.
            closers.pop(opener[0], None)
            place = opener.start() + 1
            continue
        place = closed + 2
        pieces += [source[end : opener.start()], f"{OPEN}{len(tags)}{CLOSE}"]
        tags.append(source[opener.start() : place])
        end = place
    return "".join([*pieces, source[end:]]), tags


def put_back(marked: str, tags: Sequence[str]) -> str:
    return MARK.sub(lambda mark: tags[int(mark[1])] if int(mark[1]) < len(tags) else mark[0], marked)


def keyword(tag: str) -> str:
    """`if` of {% if x %}; blank for what is no statement."""
    word = _WORD.match(tag)
    return word[1] if word else ""


def scan(marked: str, tags: Sequence[str] = ()) -> Iterator[Tag | Mark]:
    """The tags of `marked` and the marks between them, in order, with the lines they had before `set_tags_aside`."""
    line, seen = 1, 0
    for token in _TOKEN.finditer(marked):
        line += put_back(marked[seen : token.start()], tags).count("\n")
        seen = token.start()
        place = (token.start(), token.end(), line)
        if token["raw"]:
            source = token["raw_attributes"]
            yield Tag(token["raw"].lower(), *place, source, inside=token["inside"], attributes=attributes(source))
        elif token["name"]:
            source = token["attributes"]
            yield Tag(token["name"].lower(), *place, source, bool(token["close"]), attributes=attributes(source))
        elif token["mark"] and int(token["mark"]) < len(tags):
            tag = tags[int(token["mark"])]
            yield Mark(tag, keyword(tag), line)


def unescape(markup: str) -> str:
    """`markup` with the characters that `&amp;`, `&#8364;` and the like stand for; � for what is none."""
    return _unescape(_NO_CHARACTER.sub("\ufffd", markup))


def attribute_place(source: str, name: str) -> re.Match[str] | None:
    """Where the attribute `name` stands in the `source` of a tag, its raw value in one of the groups 2 to 4."""
    return next((found for found in _ATTRIBUTE.finditer(source) if found[1].lower() == name), None)


def attributes(source: str) -> dict[str, str]:
    """The attributes of one tag by lower-case name, values unescaped; of two with one name the first counts."""
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(source):
        found.setdefault(name.lower(), unescape("".join(values)))
    return found
