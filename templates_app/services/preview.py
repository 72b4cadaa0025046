from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from templates_app.rendering import Content, compile_content, warnings_about


@dataclass(frozen=True, slots=True)
class Preview:
    """One mail as it would be sent. `headers` is filled by whoever sends; `missing` is empty unless lenient."""

    subject: str
    html: str
    text: str
    warnings: list[str]
    missing: list[str]
    headers: dict[str, str] = field(default_factory=dict)


def preview(*, content: Content, context: Mapping[str, Any], lenient: bool = False) -> Preview:
    """Render `content` for a look at it; writes nothing.

    Raises InvalidTemplate, and RenderError naming all missing values; with `lenient` those show as ⟦name⟧ instead.
    """
    compiled = compile_content(content)
    missing: dict[str, str] = {}
    if lenient:
        rendered, missing = compiled.render_leniently(context)
    else:
        rendered = compiled.render(context)
    return Preview(*rendered, warnings=warnings_about(compiled, rendered), missing=list(missing))
