"""The text template that an HTML template implies.

Turning each rendered mail into text costs more than rendering it, so the HTML *source* is turned into text once, with
its tags ({{ }}, {% %}) set aside and put back. Templates for which that would not be the same are left to each mail.
"""

import re
from collections.abc import Iterable

from jinja2 import nodes

from templates_app.markup import CLOSE, MARK, OPEN, keyword, put_back, set_tags_aside
from templates_app.rendering.html_text import TextWriter

_LOOKS_LIKE_TAG = re.compile(r"\{[{%#]")
# What prints markup, or escapes it, means something else where nothing is escaped.
_MARKUP_FILTERS = frozenset({"safe", "e", "escape"})
# What stands between these is no part of the text, or not there.
_NOT_IN_PLACE = frozenset({"raw", "endset"})
_IN_A_NAME = re.compile(f"</?[a-z0-9]*{OPEN}", re.IGNORECASE)
_BLANKS_BEFORE = re.compile(rf"(?<!\s)\s++{OPEN}(\d+){CLOSE}")
_BLANKS_BEHIND = re.compile(rf"{OPEN}(\d+){CLOSE}\s++")


def text_source(html: str, tree: nodes.Template) -> str | None:
    """The source of the text part for the HTML source `html`, or None where only the rendered mail can tell."""
    if OPEN in html or any(filter_.name in _MARKUP_FILTERS for filter_ in tree.find_all(nodes.Filter)):
        return None
    marked, tags = _set_aside(html)
    if _IN_A_NAME.search(marked) or any(keyword(tag) in _NOT_IN_PLACE for tag in tags):
        return None
    writer = _SourceWriter(tags)
    text = writer.text_of(marked)
    return put_back(_LOOKS_LIKE_TAG.sub(r"""{{ "\g<0>" }}""", text), tags) if writer.is_same else None


def _set_aside(html: str) -> tuple[str, list[str]]:
    """As `set_tags_aside`; tags that say the same have one mark. Blanks that a tag eats ({%- -%}) are gone with it:
    those of the text are others."""
    marked, tags = set_tags_aside(html)
    marked = _BLANKS_BEFORE.sub(lambda found: found[0].strip() if tags[int(found[1])][2] == "-" else found[0], marked)
    marked = _BLANKS_BEHIND.sub(lambda found: found[0].strip() if tags[int(found[1])][-3] == "-" else found[0], marked)
    tags = [f"{tag[:2]} {tag[2:-2].removeprefix('-').removesuffix('-').strip()} {tag[-2:]}" for tag in tags]
    first: dict[str, int] = {}
    for number, tag in enumerate(tags):
        first.setdefault(tag, number)
    return MARK.sub(lambda found: f"{OPEN}{first[tags[int(found[1])]]}{CLOSE}", marked), tags


class _SourceWriter(TextWriter):
    """Writes the text of a source whose tags are marks. `is_same`: so far it says what a mail's own text would say."""

    def __init__(self, tags: list[str]) -> None:
        super().__init__()
        self.is_same = True
        self._tags = tags

    def skipped(self, markup: str) -> None:
        words = self._words(markup)
        # Whether an element is shown may depend on what is in its style.
        if words and ("display" in markup.lower() or not _is_whole(words)):
            self.is_same = False

    def leave_link(self, label: str, url: str) -> None:
        # Its address moves from before the label to behind it.
        if not _is_whole(self._words(label)):
            self.is_same = False
        super().leave_link(label, url)

    def _words(self, markup: str) -> list[str]:
        return [word for found in MARK.finditer(markup) if (word := keyword(self._tags[int(found[1])]))]


def _is_whole(words: Iterable[str]) -> bool:
    """Whether these statements, one after another, mean nothing to what stands around them."""
    depth = 0
    for word in words:
        if word == "set":
            return False
        depth += -1 if word.startswith("end") else 0 if word in ("elif", "else") else 1
        if depth < (1 if word in ("elif", "else") else 0):
            return False
    return depth == 0
