"""What a mail's author should know before sending it; nothing here refuses a template."""

import re
from collections.abc import Iterator

from templates_app.rendering.compiled import CompiledTemplate, Rendered
from templates_app.rendering.text_source import set_tags_aside

# Gmail cuts longer messages and hides the rest, the unsubscribe link with it.
_GMAIL_CLIPS_AT = 102 * 1024
_LONG_SUBJECT = 100
_UNSAFE_LINK = re.compile(r"""\b(?:href|src|action)\s*=\s*["']?\s*(javascript|vbscript|data:text|file):?""", re.I)
_BARE_ATTRIBUTE = re.compile(r"<[a-z][^<>]*\s([a-z-]+)=\s*\ue000", re.I)
_VARIABLE_LINK = re.compile(r"""\b(?:href|src)\s*=\s*["']\s*\ue000(\d+)\ue001""", re.I)
_TRUSTED = re.compile(r"\bunsubscribe_url\b|\|\s*safe_url\b")
_UNESCAPED = re.compile(r"\|\s*safe\b(?!_)")


def warnings_about(compiled: CompiledTemplate, rendered: Rendered) -> list[str]:
    """Sentences about the template and about this one mail made from it."""
    return [*_about_mail(rendered), *_about_source(compiled)]


def _about_mail(rendered: Rendered) -> Iterator[str]:
    size = len(rendered.html.encode())
    if size > _GMAIL_CLIPS_AT:
        yield f"The HTML is {size // 1024} KiB; Gmail cuts mails at 102 KiB. Shorten it."
    if not rendered.subject:
        yield "The subject is empty. Write one."
    if len(rendered.subject) > _LONG_SUBJECT:
        yield f"The subject has {len(rendered.subject)} characters; most readers see the first 40 to 70."
    for scheme in sorted({match[1].lower() for match in _UNSAFE_LINK.finditer(rendered.html)}):
        yield f"A link starts with “{scheme}:”, which mail programs block. Use https or mailto."


def _about_source(compiled: CompiledTemplate) -> Iterator[str]:
    html = compiled.content.html
    if not any(variable.path == "unsubscribe_url" for variable in compiled.variables):
        yield 'There is no unsubscribe link. Add <a href="{{ unsubscribe_url }}">Unsubscribe</a>.'
    marked, tags = set_tags_aside(html)
    for name in sorted({match[1].lower() for match in _BARE_ATTRIBUTE.finditer(marked)}):
        yield f'The attribute {name}={{{{ … }}}} has no quotes; a space in it ends it. Write {name}="{{{{ … }}}}".'
    links = {tags[int(match[1])] for match in _VARIABLE_LINK.finditer(marked)}
    for tag in sorted(tag for tag in links if tag.startswith("{{") and not _TRUSTED.search(tag)):
        yield f"The link {tag} takes any address. Write {{{{ …|safe_url }}}} to allow http, https and mailto only."
    if any(_UNESCAPED.search(tag) for tag in tags):
        yield "|safe puts a value into the HTML unescaped. Use it only for values nobody else can write."
