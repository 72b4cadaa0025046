"""From a template version to the subject, HTML and text of one mail. Pure: no database, no mail."""

from templates_app.rendering.compiled import CompiledTemplate, Rendered, compile_content, compile_version
from templates_app.rendering.content import PARTS, Content, content_of
from templates_app.rendering.html_text import html_to_text
from templates_app.rendering.prepared import prepare

__all__ = [
    "PARTS",
    "CompiledTemplate",
    "Content",
    "Rendered",
    "compile_content",
    "compile_version",
    "content_of",
    "html_to_text",
    "prepare",
]
