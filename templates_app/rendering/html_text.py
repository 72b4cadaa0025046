"""The text part of a mail whose author wrote only HTML.

Every expression of the scanner is linear in its input: also an author's broken markup of 1 MiB takes milliseconds,
which the standard library's HTMLParser does not promise.
"""

import re

from templates_app.markup import unescape

_TOKEN = re.compile(
    r"""<!--.*?(?:-->|\Z)
      | <(?P<hidden>style|script|title|template)\b[^<>]*+>.*?(?:</(?P=hidden)\s*+>|\Z)
      | <(?P<unseen>div|span|p)\b(?>[^<>]*?\bdisplay:\s*+none)[^<>]*+>.*?(?:</(?P=unseen)\s*+>|\Z)
      | <(?P<close>/?)(?P<tag>[a-z][a-z0-9]*+)(?P<attributes>[^<>]*+)>
      | <[!?][^<>]*+>""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_SPACES = re.compile(r"[ \t\r]{2,}|[\t\r]")
_EMPTY_LINES = re.compile(r"\n{3,}")
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_NOT_A_LINK = re.compile(r"#|/|javascript:|data:|\Z", re.IGNORECASE)

_PARAGRAPH = re.compile("p|h[1-6]|ul|ol|table|blockquote|pre|section|article|header|footer")
_LINE = re.compile("div|tr|dt|dd|li|br|body|html|head|address|figure|figcaption|center")
_CELL = re.compile("td|th")


def html_to_text(html: str) -> str:
    """The readable text of `html`: paragraphs kept apart, list items as “- item”, links as “label (url)”."""
    writer = _Writer()
    end = 0
    for token in _TOKEN.finditer(html):
        writer.write(html[end : token.start()])
        end = token.end()
        if token["tag"]:
            writer.tag(token["tag"].lower(), bool(token["close"]), token["attributes"])
    writer.write(html[end:])
    return tidy("".join(writer.pieces))


def tidy(text: str) -> str:
    """No spaces at the ends of lines, never more than one empty line."""
    text = _SPACES.sub(" ", text).replace(" \n", "\n").replace("\n ", "\n")
    return _EMPTY_LINES.sub("\n\n", text).strip()


class _Writer:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._link: tuple[str, int] | None = None

    def write(self, markup: str) -> None:
        if markup:
            self.pieces.append(unescape(_SPACE.sub(" ", markup)))

    def tag(self, name: str, closing: bool, attributes: str) -> None:
        if name == "a":
            self._anchor(closing, attributes)
        elif name == "img":
            self._image(attributes)
        elif name == "hr":
            self.pieces.append("\n\n---\n\n")
        elif _CELL.fullmatch(name):
            self.pieces.append(" ")
        elif _PARAGRAPH.fullmatch(name):
            self.pieces.append("\n\n")
        elif _LINE.fullmatch(name):
            self.pieces.append("\n- " if name == "li" and not closing else "\n")

    def _image(self, attributes: str) -> None:
        if alt := _ALT.search(attributes):
            self.write(alt[1] or alt[2] or "")

    def _anchor(self, closing: bool, attributes: str) -> None:
        if not closing:
            href = _HREF.search(attributes)
            url = unescape(href[1] or href[2] or href[3] or "").strip() if href else ""
            self._link = (url, len(self.pieces))
        elif self._link is not None:
            url, start = self._link
            self._link = None
            label = "".join(self.pieces[start:]).strip()
            address = url.removeprefix("mailto:")
            if not _NOT_A_LINK.match(url) and label not in (url, address):
                self.pieces.append(f" ({address})" if label else address)
