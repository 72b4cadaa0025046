from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from templates_app.rendering import Content, compile_content
from templates_app.services.lint import Finding, lint


@dataclass(frozen=True, slots=True)
class Preview:
    """One mail as it would be sent. `headers` is filled by whoever sends; `missing` is empty unless lenient.

    `size` is that of the HTML, in bytes; `warnings` are the messages of `findings`.
    """

    subject: str
    html: str
    text: str
    size: int
    warnings: list[str]
    findings: list[Finding]
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
    findings = lint(content=content, context=context)
    return Preview(
        rendered.subject,
        rendered.html,
        rendered.text,
        size=len(rendered.html.encode()),
        warnings=[str(finding) for finding in findings],
        findings=findings,
        missing=list(missing),
    )
