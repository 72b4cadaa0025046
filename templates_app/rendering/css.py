"""Styles moved from <style> into the tags, where every mail program reads them.

The markup stays as its author wrote it, byte for byte: the inliner, which would rearrange it, works on a copy in which
each tag has a number, and what it computed for a number is written into that tag.
"""

import re
from collections.abc import Sequence

from templates_app.errors import TemplateSyntaxProblem
from templates_app.markup import MARK, OPEN, VOID, Mark, Tag, attribute_place, keyword, put_back, scan, set_tags_aside
from templates_app.rendering import apart

# What broken markup hides from these two bounds ends with the inliner's process; they can name the line.
_MOST_OPEN = 1000
# The inliner's work grows with the product, and with the square of the second.
_MOST_DECLARATIONS = 1000
_MOST_WORK = 1_000_000
_NUMBER = "data-\ue002"
_ELEMENT = re.compile(r'<[a-z][^\s<>/]*+((?:\s++[^\s=<>"]++(?:="[^"]*+")?)++)\s*/?>', re.IGNORECASE)
_NUMBERED = re.compile(rf'\s{_NUMBER}="(\d+)"')
_STYLE = re.compile(r'\sstyle="([^"]*)"')
_WORD = re.compile(r"[A-Za-z_]\w*")
_ASSIGNS = frozenset({"for", "set", "with"})
_BLOCKS = frozenset({"if", "for", "with", "filter"})
_PLAIN_MEDIA = frozenset({"", "all", "screen"})


def inline_styles(html: str) -> str:
    """`html` with the rules of its <style>s written into the tags; the <style>s stay, for what needs them there.

    Left where they are: rules within or with {% %}, those for some media only, and those whose values depend on names
    the template assigns. A tag whose attributes, other than style, hold {% %} is left alone. Raises
    TemplateSyntaxProblem.
    """
    marked, tags = set_tags_aside(html)
    found = list(scan(marked, tags))
    sheets = _sheets(found, tags)
    # Without a sheet nothing would change; a mark in the source could not be told from ours.
    if not sheets or OPEN in html or "\ue002" in html:
        return html
    _check(found, sheets)
    own = {place: tag for place, tag in enumerate(found) if isinstance(tag, Tag) and _is_styled(tag, tags)}
    try:
        computed = _computed(apart.inlined(_numbered(marked, found, own, sheets)))
    except apart.Overwhelmed:
        message = "too much is nested to move the styles into the tags; close the tags, or switch that off"
        raise TemplateSyntaxProblem("html", sheets[0].line, message) from None
    except ValueError as error:
        message = f"the styles cannot be moved into the tags ({error}); correct them, or switch that off"
        raise TemplateSyntaxProblem("html", sheets[0].line, message) from None
    pieces, end = [], 0
    for place, tag in own.items():
        style = computed.get(place)
        if style:
            pieces += [marked[end : tag.start], _restyled(tag, marked, style)]
            end = tag.end
    return put_back("".join([*pieces, marked[end:]]), tags)


def _sheets(found: Sequence[Tag | Mark], tags: Sequence[str]) -> list[Tag]:
    """The style sheets that hold for every mail."""
    assigned = {word for tag in tags if keyword(tag) in _ASSIGNS for word in _WORD.findall(tag)}
    sheets, depth = [], 0
    for token in found:
        if isinstance(token, Mark):
            depth += (token.word in _BLOCKS) - (token.word.startswith("end") and token.word[3:] in _BLOCKS)
        elif token.name == "style" and token.inside and not depth:
            inside = [tags[int(mark[1])] for mark in MARK.finditer(token.inside) if int(mark[1]) < len(tags)]
            is_fixed = not any(keyword(tag) or assigned & set(_WORD.findall(tag)) for tag in inside)
            if is_fixed and token.attributes.get("media", "").strip().lower() in _PLAIN_MEDIA:
                sheets.append(token)
    return sheets


def _check(found: Sequence[Tag | Mark], sheets: Sequence[Tag]) -> None:
    opened: dict[str, int] = {}
    depth = elements = 0
    for token in found:
        if isinstance(token, Mark) or token.inside is not None or token.name in VOID:
            continue
        elements += not token.closes
        if not token.closes:
            opened[token.name] = opened.get(token.name, 0) + 1
            depth += 1
        elif opened.get(token.name):
            opened[token.name] -= 1
            depth -= 1
        if depth > _MOST_OPEN:
            message = f"more than {_MOST_OPEN} tags are open at once; close them, or switch the moving of styles off"
            raise TemplateSyntaxProblem("html", token.line, message)
    declarations = sum((sheet.inside or "").count(":") for sheet in sheets)
    if declarations > _MOST_DECLARATIONS or declarations * elements > _MOST_WORK:
        message = f"{declarations} styles for {elements} tags are too many to move; shorten them, or switch that off"
        raise TemplateSyntaxProblem("html", sheets[0].line, message)


def _is_styled(tag: Tag, tags: Sequence[str]) -> bool:
    """Whether what the tag is can be told now; its own style may hold anything."""
    if tag.closes or tag.inside is not None:
        return False
    place = attribute_place(tag.source, "style")
    others = tag.source if place is None else tag.source[: place.start()] + tag.source[place.end() :]
    return not any(keyword(tags[int(mark[1])]) for mark in MARK.finditer(others) if int(mark[1]) < len(tags))


def _numbered(marked: str, found: Sequence[Tag | Mark], own: dict[int, Tag], sheets: Sequence[Tag]) -> str:
    pieces, end = [], 0
    for place, tag in enumerate(found):
        if isinstance(tag, Mark) or tag.closes:
            continue
        attribute = f' {_NUMBER}="{place}"' if place in own else ""
        if tag.name == "style" and tag not in sheets:
            attribute = ' data-css-inline="ignore"'
        name_end = tag.start + 1 + len(tag.name)
        source = tag.source
        style = attribute_place(source, "style")
        if style is not None and OPEN in style[0]:
            source = source[: style.start()] + source[style.end() :]
        pieces += [marked[end:name_end], attribute, source]
        end = name_end + len(tag.source)
    return "".join([*pieces, marked[end:]])


def _computed(html: str) -> dict[int, str]:
    styles = {}
    for element in _ELEMENT.finditer(html):
        number, style = _NUMBERED.search(element[1]), _STYLE.search(element[1])
        if number and style:
            styles[int(number[1])] = style[1]
    return styles


def _restyled(tag: Tag, marked: str, style: str) -> str:
    name = marked[tag.start : tag.start + 1 + len(tag.name)]
    place = attribute_place(tag.source, "style")
    if place is None:
        return f'{name} style="{style}"{tag.source}>'
    if OPEN in place[0]:
        written = next(value for value in (*place.groups()[1:], "") if value is not None)
        style = f"{style.rstrip('; ')}; {written.replace(chr(34), '&quot;')}"
    return f'{name}{tag.source[: place.start()]}style="{style}"{tag.source[place.end() :]}>'
