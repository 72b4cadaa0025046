"""What MJML lets pass without a word."""

from collections.abc import Iterator

from templates_app.lint.finding import Finding, error, warning
from templates_app.markup import Tag, scan, set_tags_aside
from templates_app.rendering import CompiledTemplate

_KNOWN = frozenset(
    f"mj-{name}"
    for name in (
        *("accordion", "accordion-element", "accordion-text", "accordion-title", "all", "attributes", "body"),
        *("breakpoint", "button", "carousel", "carousel-image", "class", "column", "divider", "font", "group", "head"),
        *("hero", "html-attributes", "image", "include", "navbar", "navbar-link", "preview", "raw", "section"),
        *("selector", "html-attribute", "social", "social-element", "spacer", "style", "table", "text", "title"),
        "wrapper",
    )
)


def in_mjml(compiled: CompiledTemplate) -> Iterator[Finding]:
    """Unknown tags and values that are lost; in an HTML template, MJML that nobody would compile."""
    content = compiled.content
    marked, tags = set_tags_aside(content.html)
    for tag in scan(marked, tags):
        if not isinstance(tag, Tag) or tag.closes or not tag.name.startswith("mj"):
            continue
        if not content.is_mjml and (tag.name == "mjml" or tag.name in _KNOWN):
            yield error("mjml-as-html", "This is MJML, but the format is HTML. Choose MJML.", tag.line)
            return
        if content.is_mjml and tag.name.startswith("mj-") and tag.name not in _KNOWN:
            yield error("mjml-tag", f"MJML has no <{tag.name}>. Correct its name.", tag.line)
    for tag_aside in tags if content.is_mjml else ():
        if tag_aside.startswith("{{") and tag_aside not in compiled.html:
            yield warning("mjml-lost", f"{tag_aside} is not in the mail: MJML takes no value there. Move it.")
