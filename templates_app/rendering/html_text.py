"""The text part of a mail whose author wrote only HTML.

Every expression of the scanner is linear in its input: also an author's broken markup of 1 MiB takes milliseconds,
which the standard library's HTMLParser does not promise.
"""

import re

from templates_app.markup import unescape

_TOKEN = re.compile(
    r"""<!--.*?(?:-->|\Z)
      | <(?P<close>/?)(?P<tag>[a-z][a-z0-9]*+)(?P<attributes>(?:[^<>"']++|"[^"]*+"|'[^']*+')*+(?=>)|[^<>]*+)>
      | <[!?][^<>]*+>""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_HIDDEN = re.compile("style|script|title|template")
_CAN_BE_HIDDEN = re.compile("div|span|p")
_IS_HIDDEN = re.compile(r"\bdisplay:\s*+none", re.IGNORECASE)
# Those that can hold others of their name.
_NESTED = re.compile("div|span|template")
_SPACES = re.compile(r"[ \t\r]{2,}|[\t\r]")
_EMPTY_LINES = re.compile(r"\n{3,}")
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_NOT_A_LINK = re.compile(r"#|/(?!/)|javascript:|data:|\Z", re.IGNORECASE)

_PARAGRAPH = re.compile("p|h[1-6]|ul|ol|table|blockquote|pre|section|article|header|footer")
_LINE = re.compile("div|tr|dt|dd|li|br|body|html|head|address|figure|figcaption|center")
_CELL = re.compile("td|th")


def html_to_text(html: str) -> str:
    """The readable text of `html`: paragraphs kept apart, list items as “- item”, links as “label (url)”."""
    return TextWriter().text_of(html)


def tidy(text: str) -> str:
    """No spaces at the ends of lines, never more than one empty line."""
    text = _SPACES.sub(" ", text).replace(" \n", "\n").replace("\n ", "\n")
    return _EMPTY_LINES.sub("\n\n", text).strip()


class TextWriter:
    """Writes the text of one HTML. `skipped` and `leave_link` are there for whoever has to know what becomes of it."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._link: tuple[str, int] | None = None

    def text_of(self, html: str) -> str:
        end = 0
        while token := _TOKEN.search(html, end):
            self._write(html[end : token.start()])
            end = token.end()
            self.skipped(token["attributes"] or token[0])
            name = (token["tag"] or "").lower()
            if name and not token["close"] and _hides(name, token["attributes"]):
                end = _end_of(name, html, end)
                self.skipped(html[token.end() : end])
            elif name:
                self._tag(name, bool(token["close"]), token["attributes"])
        self._write(html[end:])
        return tidy("".join(self._pieces))

    def skipped(self, markup: str) -> None:
        """Told of all that is not shown: comments, attributes (also those of which a value is), hidden elements."""

    def leave_link(self, label: str, url: str) -> None:
        """Write the address of a link behind its label."""
        address = url.removeprefix("mailto:")
        if not _NOT_A_LINK.match(url) and label not in (url, address):
            self._pieces.append(f" ({address})" if label else address)

    def _write(self, markup: str) -> None:
        if markup:
            self._pieces.append(unescape(_SPACE.sub(" ", markup)))

    def _tag(self, name: str, closing: bool, attributes: str) -> None:
        if name == "a":
            self._anchor(closing, attributes)
        elif name == "img":
            self._image(attributes)
        elif name == "hr":
            self._pieces.append("\n\n---\n\n")
        elif _CELL.fullmatch(name):
            self._pieces.append(" ")
        elif _PARAGRAPH.fullmatch(name):
            self._pieces.append("\n\n")
        elif _LINE.fullmatch(name):
            self._pieces.append("\n- " if name == "li" and not closing else "\n")

    def _image(self, attributes: str) -> None:
        if alt := _ALT.search(attributes):
            self._write(alt[1] or alt[2] or "")

    def _anchor(self, closing: bool, attributes: str) -> None:
        if self._link is not None:
            url, start = self._link
            self._link = None
            # The address of one that another one follows before it is closed is not shown.
            self.leave_link("".join(self._pieces[start:]).strip(), url if closing else "")
        if not closing:
            href = _HREF.search(attributes)
            url = unescape(href[1] or href[2] or href[3] or "").strip() if href else ""
            self._link = (url, len(self._pieces))


def _hides(name: str, attributes: str) -> bool:
    return bool(_HIDDEN.fullmatch(name) or (_CAN_BE_HIDDEN.fullmatch(name) and _IS_HIDDEN.search(attributes)))


def _end_of(name: str, html: str, start: int) -> int:
    """Where the element ends whose content begins at `start`: the end of `html`, where it is never closed."""
    depth = 1
    for tag in re.compile(rf"<(/?){name}\b[^<>]*+>", re.IGNORECASE).finditer(html, start):
        depth += -1 if tag[1] else int(_NESTED.fullmatch(name) is not None)
        if not depth:
            return tag.end()
    return len(html)
