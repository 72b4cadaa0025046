"""The two environments: HTML escapes what is printed, TEXT (subject and text part) does not."""

import re
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError, TemplateRuntimeError, TemplateSyntaxError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from markupsafe import escape

from templates_app.environment.data import Branch
from templates_app.environment.filters import FILTERS_ALLOWED, FILTERS_INSERTED, TESTS_ALLOWED, bounded
from templates_app.environment.grammar import SHOW, TOO_LARGE, harden
from templates_app.environment.meter import meter
from templates_app.environment.missing import Missing
from templates_app.lines import legible

MAX_SOURCE = 512 * 1024
_LONGEST_NAME = 200
# Of the longest number that Python surely reads.
_DIGITS = 640
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_LOOP_ATTRIBUTES = "cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0"


@pass_context
def printable(_context: Context, value: Any) -> Any:
    """What `{{ value }}` puts out. Taking the context keeps Jinja from calling this while it compiles."""
    if isinstance(value, str):
        meter().spend(len(value))
        if not value.isascii():
            # Half a character is no text: it cannot be encoded, and says so here.
            value.encode()
    elif isinstance(value, Missing):
        return str(value)
    elif value is None:
        return ""
    elif not isinstance(value, int | float):
        kind = "list or dictionary" if isinstance(value, list | tuple | dict) else type(value).__name__
        raise TemplateRuntimeError(f"a {kind} cannot be printed; print one of its values, or use |join(', ')")
    return value


@pass_context
def show(context: Context, path: tuple[str, ...]) -> str:
    """What `{{ … }}` puts out for a path into the context: the same text each time, escaped where that is due."""
    spent = meter()
    text = spent.shown.get(path)
    if text is None:
        value = context.resolve(path[0])
        for key in path[1:]:
            value = context.environment.getitem(value, key)
        value = printable(context, value)
        text = spent.shown[path] = str(escape(value) if context.eval_ctx.autoescape else value)
    else:
        spent.spend(len(text))
    return text


class _Generator(CodeGenerator):
    """Puts nothing around what `show` has made ready."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if not _is_shown(node):
            super()._output_child_pre(node, frame, finalize)

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if not _is_shown(node):
            super()._output_child_post(node, frame, finalize)


def _is_shown(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.Filter) and node.name == SHOW


class MailEnvironment(ImmutableSandboxedEnvironment):
    """Compiles only what `grammar` allows; looks up keys, never attributes or methods."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self, *, autoescape: bool) -> None:
        # Unoptimised: folding constants would run filters, unmetered, while compiling.
        super().__init__(autoescape=autoescape, undefined=Missing, finalize=printable, optimized=False, cache_size=0)
        self.globals = {"range": safe_range}
        self.filters: dict[str, Any] = {**FILTERS_ALLOWED, **FILTERS_INSERTED, SHOW: show}
        self.tests: dict[str, Any] = {**TESTS_ALLOWED}

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        return super()._generate(harden(source, FILTERS_ALLOWED, TESTS_ALLOWED), name, filename, defer_init)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MAX_SOURCE:
            raise TemplateSyntaxError(f"longer than {MAX_SOURCE // 1024} KiB; shorten it", 1)
        if half := _HALF_CHARACTER.search(source):
            line = source.count("\n", 0, half.start()) + 1
            raise TemplateSyntaxError("a character that is no text, but half of one; remove it", line)
        try:
            return super()._parse(source, name, filename)
        except ValueError:
            # Python reads no number of thousands of digits, and Jinja does not expect that.
            raise TemplateSyntaxError(TOO_LARGE, self._line_of_long_number(source)) from None

    def _line_of_long_number(self, source: str) -> int:
        return next((line for line, kind, text in self.lex(source) if kind == "integer" and len(text) > _DIGITS), 1)

    def call_filter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The filter that a template names by a text, as in `|map("upper")`: those that are inserted have no name."""
        if name not in FILTERS_ALLOWED:
            raise TemplateRuntimeError(f"there is no filter “{legible(str(name), _LONGEST_NAME)}”")
        return super().call_filter(name, *args, **kwargs)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, Missing):
            argument.note()
            return argument
        # Before it is hashed or put into the name of a missing value: both walk through all of it.
        if not isinstance(argument, str | int):
            raise TemplateRuntimeError("[ ] takes a text or a whole number only")
        if isinstance(obj, dict):
            if argument in obj:
                return obj[argument]
        elif isinstance(obj, LoopContext):
            if argument in _LOOP_ATTRIBUTES.split():
                return getattr(obj, argument)
        elif _is_index(obj, argument):
            return obj[argument]
        return self.undefined(name=_path(obj, argument))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        for operand in (left, right):
            if isinstance(operand, Missing):
                operand.note()
                return operand
        if isinstance(left, int | float) and isinstance(right, int | float):
            return bounded(self.binop_table[operator](left, right))
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            meter().spend(len(left) + len(right))
            return left + right
        raise SecurityError(f"“{operator}” takes two numbers; to join texts write ~ between them")


def _is_index(obj: Any, argument: Any) -> bool:
    is_indexed = isinstance(obj, list | tuple | str | range) and isinstance(argument, int)
    return is_indexed and -len(obj) <= argument < len(obj)


def _path(obj: Any, argument: str | int) -> str:
    """The name of what is not there; a long one is cut, since each step would copy what the step before made."""
    key = argument[:_LONGEST_NAME] if isinstance(argument, str) else argument
    above = obj.path if isinstance(obj, Branch) else obj.path() if isinstance(obj, Missing) else ""
    return legible(f"{above}.{key}" if above else str(key), _LONGEST_NAME)


HTML = MailEnvironment(autoescape=True)
TEXT = MailEnvironment(autoescape=False)
