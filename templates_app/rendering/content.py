from typing import NamedTuple

from templates_app.models import TemplateVersion


class Content(NamedTuple):
    """What a version says: the sources of its three parts. A blank `text` is made from the HTML."""

    subject: str
    html: str
    text: str = ""


def content_of(version: TemplateVersion) -> Content:
    return Content(version.subject, version.html, version.text)
