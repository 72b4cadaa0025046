"""MJML to HTML. Jinja's tags stand aside meanwhile, so that none is taken for markup, moved or lost."""

import re
from collections.abc import Iterable

from templates_app.errors import TemplateSyntaxProblem
from templates_app.markup import VOID, Mark, Tag, keyword, put_back, scan, set_tags_aside
from templates_app.rendering import apart

# Told with its line; what is hidden from this bound ends with the compiler's process.
_DEEPEST = 100
_PLACE = re.compile(r"position (\d+)")
_WELL_FORMED = re.compile(r"""(?:\s++[^\s"'<>=/]++\s*+=\s*+(?:"[^"]*+"|'[^']*+'))*+\s*+/?""")
_ADVICE = "put it around sections, columns or what they hold, or into <mj-raw>"


def mjml_to_html(source: str) -> str:
    """The HTML template for the MJML template `source`; raises TemplateSyntaxProblem with the line."""
    aside = set_tags_aside(source)
    _check(scan(*aside))
    name = _free_name(source)
    tags = aside[1]
    # In attributes the compiler changes all but plain letters and digits.
    marked = put_back(aside[0], [f"{name}{number}{name}" for number in range(len(tags))])
    mark = re.compile(f"{name}(\\d+){name}")

    def restored(text: str) -> str:
        return mark.sub(lambda found: tags[int(found[1])], text)

    try:
        html = apart.compiled_mjml(marked)
    except apart.Overwhelmed:
        raise _problem(1, "cannot be read as MJML: too much is nested; use fewer levels") from None
    except ValueError as error:
        raise _problem(
            restored(_before(error, marked)).count("\n") + 1, f"cannot be read as MJML ({_said(error)})"
        ) from None
    controls = [number for number, tag in enumerate(tags) if keyword(tag)]
    kept = [int(found[1]) for found in mark.finditer(html) if keyword(tags[int(found[1])])]
    for number, other in zip(controls, [*kept, -1], strict=False):
        if number != other:
            raise _problem_at(number, tags, source, "cannot stand there in MJML")
    if len(kept) > len(controls):
        raise _problem_at(kept[len(controls)], tags, source, "cannot stand there in MJML, which would repeat it")
    return restored(html)


def _check(found: Iterable[Tag | Mark]) -> None:
    """What the compiler would refuse without telling the line, or not survive."""
    stack: list[Tag] = []
    for tag in found:
        if isinstance(tag, Mark):
            continue
        if not tag.closes and not _WELL_FORMED.fullmatch(tag.source):
            raise _problem(tag.line, f'an attribute of <{tag.name}> has no value in quotes; write name="value"')
        if not tag.is_empty and tag.inside is None and tag.name not in VOID:
            _follow(stack, tag)
        if len(stack) > _DEEPEST:
            raise _problem(tag.line, f"tags are nested more than {_DEEPEST} deep; use fewer levels")
    if stack:
        raise _problem(stack[-1].line, f"<{stack[-1].name}> is never closed; add </{stack[-1].name}>")


def _follow(stack: list[Tag], tag: Tag) -> None:
    if not tag.closes:
        stack.append(tag)
    elif not stack or stack.pop().name != tag.name:
        raise _problem(tag.line, f"</{tag.name}> does not close what was opened last; close that first")


def _free_name(source: str) -> str:
    name = "jinja"
    while name in source:
        name += "x"
    return name


def _start(tags: list[str], number: int, source: str) -> int:
    """Where tag `number` starts in `source`."""
    place = 0
    for tag in tags[:number]:
        place = source.index(tag, place) + len(tag)
    return source.index(tags[number], place)


def _problem_at(number: int, tags: list[str], source: str, what: str) -> TemplateSyntaxProblem:
    line = source[: _start(tags, number, source)].count("\n") + 1
    return _problem(line, f"“{tags[number]}” {what}; {_ADVICE}")


def _before(error: ValueError, marked: str) -> str:
    """What stands before the place that the compiler names; it counts bytes, from the spaces before a word on."""
    place = _PLACE.search(str(error))
    if place is None:
        return ""
    source, start = marked.encode(), int(place[1])
    spaces = len(source[start:]) - len(source[start:].lstrip())
    return source[: start + spaces].decode(errors="ignore")


def _said(error: ValueError) -> str:
    return str(error).removesuffix("in root template").split(" in root template")[0].strip()


def _problem(line: int, message: str) -> TemplateSyntaxProblem:
    return TemplateSyntaxProblem("html", line, message)
