"""The text template that an HTML template implies.

Turning each rendered mail into text costs more than rendering it, so the HTML *source* is turned into text once, with
its tags ({{ }}, {% %}) set aside and put back. Templates for which that would not be the same are left to each mail.
"""

import re

from jinja2 import nodes

from templates_app.markup import OPEN, put_back, set_tags_aside
from templates_app.rendering.html_text import html_to_text

_LOOKS_LIKE_TAG = re.compile(r"\{[{%#]")
# What prints markup, or escapes it, means something else where nothing is escaped.
_MARKUP_FILTERS = frozenset({"safe", "e", "escape"})


def text_source(html: str, tree: nodes.Template) -> str | None:
    """The source of the text part for the HTML source `html`, or None where only the rendered mail can tell."""
    if OPEN in html or any(filter_.name in _MARKUP_FILTERS for filter_ in tree.find_all(nodes.Filter)):
        return None
    marked, tags = set_tags_aside(html)
    return put_back(_LOOKS_LIKE_TAG.sub(r"""{{ "\g<0>" }}""", html_to_text(marked)), tags)
