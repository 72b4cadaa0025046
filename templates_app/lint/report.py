from collections.abc import Collection, Iterator, Mapping
from typing import Any

from templates_app.errors import InvalidTemplate, RenderError
from templates_app.lint import mail, source
from templates_app.lint.finding import Finding, error, limited, warning
from templates_app.lint.mjml import in_mjml
from templates_app.lint.names import misspelt
from templates_app.rendering import CompiledTemplate, Content, compile_content
from templates_app.variables import sample_context


def examine(content: Content, context: Mapping[str, Any] | None, known: Collection[str]) -> list[Finding]:
    """See `services.lint`. Errors come first, then in the order of the source."""
    try:
        compiled = compile_content(content)
    except InvalidTemplate as exc:
        return [error("syntax", problem.message, problem.line, problem.part) for problem in exc.problems]
    found = list(limited(_all(compiled, context, known)))
    return sorted(found, key=lambda finding: finding.level != "error")


def _all(compiled: CompiledTemplate, context: Mapping[str, Any] | None, known: Collection[str]) -> Iterator[Finding]:
    in_source = list(source.in_source(compiled.content.html))
    yield from in_source
    yield from in_mjml(compiled)
    yield from misspelt(compiled.variables, known)
    try:
        rendered, _ = compiled.render_leniently(sample_context(compiled.variables) if context is None else context)
    except RenderError as exc:
        if context is None:
            yield warning(
                "sample", f"With made-up values no mail can be made: {exc.message} Preview it.", part=exc.part
            )
        else:
            yield error("mail", f"A mail cannot be made: {exc.message}", part=exc.part)
        return
    yield from mail.in_mail(rendered)
    if context is not None:
        # What is told with its line is not told again without one.
        told = {(finding.code, finding.message) for finding in in_source}
        yield from (found for found in source.in_mail(rendered.html) if (found.code, found.message) not in told)
