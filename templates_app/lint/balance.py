"""Tags that are opened and not closed, or closed and not opened."""

from collections.abc import Iterable, Iterator

from templates_app.lint.finding import Finding, error, warning
from templates_app.markup import VOID, Mark, Tag

# HTML closes these by itself.
_MAY_STAY_OPEN = frozenset(
    {"html", "head", "body", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "colgroup"}
)
_BLOCKS = frozenset({"if", "for"})
_OTHERWISE = frozenset({"elif", "else"})
_ENDS = frozenset({"endif", "endfor"})
DEEPEST = 200


def unbalanced(found: Iterable[Tag | Mark]) -> Iterator[Finding]:
    """Each branch of an {% if %} starts from what was open before it."""
    stack: list[Tag] = []
    before: list[list[Tag]] = []
    for token in found:
        if isinstance(token, Mark):
            _branch(token.word, stack, before)
        elif token.name in VOID or token.inside is not None or token.is_empty:
            continue
        elif token.closes:
            yield from _closed(stack, token)
        else:
            _opened(stack, token)
        if len(stack) > DEEPEST:
            yield error("too-deep", f"Tags are nested more than {DEEPEST} deep. Use fewer levels.", stack[-1].line)
            return
    for tag in stack:
        yield from _unclosed(tag)


def _branch(word: str, stack: list[Tag], before: list[list[Tag]]) -> None:
    if word in _BLOCKS:
        before.append(list(stack))
    elif word in _OTHERWISE and before:
        stack[:] = before[-1]
    elif word in _ENDS and before:
        before.pop()


def _opened(stack: list[Tag], tag: Tag) -> None:
    """A <li> ends the <li> before it, unless a list was opened between them."""
    for depth in range(len(stack) - 1, -1, -1):
        if tag.name not in _MAY_STAY_OPEN or stack[depth].name not in _MAY_STAY_OPEN:
            break
        if stack[depth].name == tag.name:
            del stack[depth:]
            break
    stack.append(tag)


def _closed(stack: list[Tag], closing: Tag) -> list[Finding]:
    for depth in range(len(stack) - 1, -1, -1):
        if stack[depth].name == closing.name:
            findings = [finding for tag in stack[depth + 1 :] for finding in _unclosed(tag)]
            del stack[depth:]
            return findings
    if closing.name in _MAY_STAY_OPEN:
        return []
    message = f"</{closing.name}> closes nothing that is open. Remove it, or open <{closing.name}> before it."
    return [warning("tag-stray", message, closing.line)]


def _unclosed(tag: Tag) -> Iterator[Finding]:
    if tag.name not in _MAY_STAY_OPEN:
        yield warning("tag-unclosed", f"<{tag.name}> is never closed. Add </{tag.name}>.", tag.line)
