from typing import NamedTuple

from templates_app.models import TemplateFormat, TemplateVersion

PARTS = ("subject", "html", "text")


class Content(NamedTuple):
    """What a version says: the sources of its three parts, as written, and what becomes of them.

    A blank `text` is made from the HTML. `format` is that of `html`: HTML, or MJML that is compiled to it.
    """

    subject: str
    html: str
    text: str = ""
    format: str = TemplateFormat.HTML.value
    inline_css: bool = True

    @property
    def is_mjml(self) -> bool:
        return self.format == TemplateFormat.MJML


def content_of(version: TemplateVersion) -> Content:
    return Content(version.subject, version.html, version.text, version.format, version.inline_css)
