"""From what an author wrote to the HTML that is filled in: MJML compiled, styles inlined. Once per version."""

from functools import lru_cache

from templates_app.environment import HTML
from templates_app.errors import InvalidTemplate, TemplateSyntaxProblem
from templates_app.rendering.content import Content
from templates_app.rendering.css import inline_styles
from templates_app.rendering.mjml import mjml_to_html
from templates_app.rendering.syntax import naming


@lru_cache(maxsize=32)
def prepare(content: Content) -> str:
    """The HTML template of `content`; raises InvalidTemplate with the line in the author's source."""
    html = content.html
    try:
        if content.is_mjml:
            with naming("html"):
                HTML.from_string(html)
            html = mjml_to_html(html)
        return inline_styles(html) if content.inline_css else html
    except TemplateSyntaxProblem as problem:
        raise InvalidTemplate([problem]) from None
