from difflib import unified_diff

from templates_app.models import TemplateVersion
from templates_app.rendering import Content, content_of


def diff(*, old: TemplateVersion, new: TemplateVersion) -> dict[str, str]:
    """The unified diff of each part (subject, html, text), blank where nothing changed."""
    before, after = content_of(old), content_of(new)
    return {
        part: "\n".join(
            unified_diff(
                getattr(before, part).splitlines(), getattr(after, part).splitlines(), str(old), str(new), lineterm=""
            )
        )
        for part in Content._fields
    }
