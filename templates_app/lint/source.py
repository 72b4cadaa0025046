"""What is wrong in the source: told with the line."""

import re
from collections.abc import Iterator

from templates_app.lint import links
from templates_app.lint.balance import unbalanced
from templates_app.lint.finding import Finding, error, warning
from templates_app.markup import MARK, OPEN, Tag, put_back, scan, set_tags_aside

_BARE = re.compile(rf"""(?:^|[\s"'])([^\s"'<>=/]++)\s*+=\s*+(?=[^\s"'<>]*{OPEN})(?!["'])""")
_TRUSTED = re.compile(r"\bunsubscribe_url\b|\|\s*safe_url\b")
_UNESCAPED = re.compile(r"\|\s*safe\b(?!_)")
_UNSUBSCRIBE = re.compile(r"\bunsubscribe_url\b")
_STARTS = re.compile(rf"\s*{OPEN}(\d+)")
_REMOVED = frozenset({"script", "iframe", "object", "embed", "form", "input", "button", "video", "audio", "base"})
_INSIDE = re.compile(r"<[^<>]*>")


def in_source(html: str) -> Iterator[Finding]:
    """What the HTML source shows, without making a mail of it."""
    marked, tags = set_tags_aside(html)
    found = list(scan(marked, tags))
    yield from unbalanced(found)
    for tag in found:
        if isinstance(tag, Tag) and not tag.closes:
            yield from _tag(tag, tags)
        elif not isinstance(tag, Tag) and _UNESCAPED.search(tag.tag):
            message = "|safe puts a value into the HTML unescaped. Use it only for values nobody else can write."
            yield warning("value-unescaped", message, tag.line)
    yield from _anchors(marked, [tag for tag in found if isinstance(tag, Tag)], tags)
    if not any(_UNSUBSCRIBE.search(tag) for tag in tags):
        message = 'There is no unsubscribe link. Add <a href="{{ unsubscribe_url }}">Unsubscribe</a>.'
        yield warning("unsubscribe-missing", message)


def in_mail(html: str) -> Iterator[Finding]:
    """What the links of a finished mail show that its source left open."""
    tags = [tag for tag in scan(html) if isinstance(tag, Tag)]
    for tag in tags:
        if not tag.closes:
            yield from _addresses(tag, None)
    yield from _anchors(html, tags, ())


def _tag(tag: Tag, tags: list[str]) -> Iterator[Finding]:
    if tag.name in _REMOVED:
        yield warning("tag-removed", f"Mail programs remove <{tag.name}>, or refuse the mail. Do without it.", tag.line)
    if tag.name == "link" and "stylesheet" in tag.attributes.get("rel", "").lower():
        yield warning("tag-removed", "Mail programs load no style sheets. Put the styles into <style>.", tag.line)
    for name in tag.attributes:
        if name.startswith("on"):
            yield error("script", f"{name}=… is a script, which mail programs remove. Do without it.", tag.line)
    for bare in _BARE.finditer(tag.source):
        name = bare[1].lower()
        message = f'{name}={{{{ … }}}} has no quotes; a space in the value ends it. Write {name}="{{{{ … }}}}".'
        yield warning("attribute-unquoted", message, tag.line)
    yield from _addresses(tag, tag.line)
    yield from _filled_in(tag, tags)


def _filled_in(tag: Tag, tags: list[str]) -> Iterator[Finding]:
    for name in ("href", "src"):
        start = _STARTS.match(tag.attributes.get(name, ""))
        filler = tags[int(start[1])] if start and int(start[1]) < len(tags) else ""
        if filler.startswith("{{") and not _TRUSTED.search(filler):
            advice = "Write {{ …|safe_url }} to allow http, https and mailto only."
            yield warning("link-variable", f"The link {filler} takes any address. {advice}", tag.line)
    for mark in MARK.finditer(tag.source):
        if int(mark[1]) < len(tags) and _UNESCAPED.search(tags[int(mark[1])]):
            message = "|safe inside a tag lets a value end it. Leave it out here."
            yield warning("value-unescaped", message, tag.line)


def _addresses(tag: Tag, line: int | None) -> Iterator[Finding]:
    attributes = tag.attributes
    if tag.name in ("img", "mj-image"):
        yield from links.judge_image(attributes.get("src", ""), line)
        if "alt" not in attributes and line is not None:
            message = 'An image has no alt text; many readers see that first. Write alt="…", or alt="" for decoration.'
            yield warning("image-alt", message, line)
    elif "href" in attributes and tag.name not in ("link", "base"):
        yield from links.judge(attributes["href"], line)
    elif tag.name == "a" and OPEN not in tag.source and not {"name", "id"} & attributes.keys():
        yield from links.judge("", line)


def _anchors(marked: str, tags: list[Tag], jinja: list[str] | tuple[()]) -> Iterator[Finding]:
    start: Tag | None = None
    for tag in tags:
        if tag.name != "a":
            continue
        if tag.closes and start is not None:
            shown = put_back(_INSIDE.sub("", marked[start.end : tag.start]), [OPEN] * len(jinja))
            yield from links.disguises(shown, start.attributes.get("href", ""), start.line if jinja else None)
        start = None if tag.closes else tag
