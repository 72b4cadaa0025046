from difflib import unified_diff

from templates_app.models import TemplateVersion
from templates_app.rendering import PARTS, Content, content_of


def diff(*, old: TemplateVersion, new: TemplateVersion) -> dict[str, str]:
    """The unified diff of each part (subject, html, text, options), blank where nothing changed."""
    before, after = _parts(content_of(old)), _parts(content_of(new))
    return {
        part: "\n".join(
            unified_diff(before[part].splitlines(), after[part].splitlines(), str(old), str(new), lineterm="")
        )
        for part in before
    }


def _parts(content: Content) -> dict[str, str]:
    options = f"format: {content.format}\ninline_css: {str(content.inline_css).lower()}"
    return {**{part: getattr(content, part) for part in PARTS}, "options": options}
