"""The text template that an HTML template implies.

Turning each rendered mail into text costs more than rendering it, so the HTML *source* is turned into text once, with
its tags ({{ }}, {% %}) set aside and put back. Templates for which that would not be the same are left to each mail.
"""

import re

from jinja2 import nodes

from templates_app.rendering.html_text import html_to_text

# Private-use characters mark where a tag was set aside: they are neither space nor markup.
_OPEN, _CLOSE = "\ue000", "\ue001"
_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_SET_ASIDE = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_LOOKS_LIKE_TAG = re.compile(r"\{[{%#]")
# What prints markup, or escapes it, means something else where nothing is escaped.
_MARKUP_FILTERS = frozenset({"safe", "e", "escape"})


def set_tags_aside(source: str) -> tuple[str, list[str]]:
    """`source` with each tag replaced by a numbered mark, and the tags."""
    tags: list[str] = []

    def mark(tag: re.Match[str]) -> str:
        tags.append(tag[0])
        return f"{_OPEN}{len(tags) - 1}{_CLOSE}"

    return _TAG.sub(mark, source), tags


def text_source(html: str, tree: nodes.Template) -> str | None:
    """The source of the text part for the HTML source `html`, or None where only the rendered mail can tell."""
    if _OPEN in html or any(filter_.name in _MARKUP_FILTERS for filter_ in tree.find_all(nodes.Filter)):
        return None
    marked, tags = set_tags_aside(html)
    text = _LOOKS_LIKE_TAG.sub(r"""{{ "\g<0>" }}""", html_to_text(marked))
    return _SET_ASIDE.sub(lambda mark: tags[int(mark[1])], text)
