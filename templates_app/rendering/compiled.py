"""Compile once per version, render once per mail."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Template, nodes
from jinja2.runtime import Context

from templates_app.environment import HTML, TEXT, Meter, metering, plain
from templates_app.errors import InvalidTemplate, RenderError, TemplateSyntaxProblem
from templates_app.models import TemplateVersion
from templates_app.rendering.content import Content, content_of
from templates_app.rendering.html_text import html_to_text, tidy
from templates_app.rendering.prepared import prepare
from templates_app.rendering.syntax import naming
from templates_app.rendering.text_source import text_source
from templates_app.variables import Variable, merged, variables_of

MAX_OUTPUT = 1024 * 1024
MAX_SUBJECT = 255
_CACHED_VERSIONS = 128

_BREAKS = re.compile(r"[ \x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail. `html_pieces` and `text_pieces` are what it was put together from: most are the template's `lasting`."""

    subject: str
    html_pieces: tuple[str, ...]
    text_pieces: tuple[str, ...]

    @property
    def html(self) -> str:
        return "".join(self.html_pieces)

    @property
    def text(self) -> str:
        return "".join(self.text_pieces)


class CompiledTemplate:
    """A version ready to render; safe to share between threads. `variables` are sorted by path."""

    def __init__(self, content: Content, html: str) -> None:
        """`html` is what `prepare` made of the content. Raises InvalidTemplate with the first problem of each part."""
        problems: list[TemplateSyntaxProblem] = []
        found: list[Variable] = []
        implied: str | None = None
        self._parts: dict[str, Template] = {}
        # What stands in it word for word, between its tags.
        self.lasting: set[str] = set()
        sources = (("subject", content.subject, TEXT), ("html", html, HTML), ("text", content.text, TEXT))
        for part, source, environment in sources:
            try:
                with naming(part):
                    tree = environment.parse(source)
                    found += variables_of(tree)
                    self.lasting.update(data.data for data in tree.find_all(nodes.TemplateData))
                    if part == "html":
                        implied = text_source(html, tree)
                    self._parts[part] = environment.from_string(tree)
            except TemplateSyntaxProblem as problem:
                problems.append(problem)
        if problems:
            raise InvalidTemplate(problems)
        self.content = content
        self.html = html
        self.variables = merged(found)
        self._text_is_own = bool(content.text.strip())
        if not self._text_is_own:
            self._imply_text(implied)

    @property
    def required(self) -> frozenset[str]:
        """The paths every context must hold (what the items of its lists hold is left to each mail)."""
        return self._needed(conditional=False)

    @property
    def conditional(self) -> frozenset[str]:
        """The paths that some mails need besides: those that get into a branch, or a loop."""
        return self._needed(conditional=True)

    @property
    def asked(self) -> frozenset[str]:
        """The paths of which an `if` asks whether they are true, and that are compared with nothing."""
        return frozenset(one.path for one in self.variables if one.asked and "[]" not in one.path)

    def _needed(self, *, conditional: bool) -> frozenset[str]:
        needed = (one for one in self.variables if one.required and one.conditional is conditional)
        return frozenset(one.path for one in needed if "[]" not in one.path)

    def render(self, context: Mapping[str, Any]) -> Rendered:
        """One mail. `context` holds plain data only; raises RenderError, which names *all* missing values."""
        rendered, missing = self.render_leniently(context)
        if missing:
            raise RenderError(
                next(iter(missing.values())),
                f"no value for {', '.join(missing)}; give one, or write {{{{ {next(iter(missing))}|default('…') }}}}",
                list(missing),
            )
        return rendered

    def render_leniently(self, context: Mapping[str, Any]) -> tuple[Rendered, dict[str, str]]:
        """One mail in which missing values show as ⟦name⟧, and those names (name: the part that met it first)."""
        missing: dict[str, str] = {}
        try:
            data = plain(context)
        except TypeError as error:
            raise RenderError("context", f"{error}.") from None
        # Jinja would put its own names and these together again for each part.
        names = {**HTML.globals, **data}
        subject = _one_line("".join(self._render_part("subject", names, missing)))
        html = self._render_part("html", names, missing)
        if "text" not in self._parts:
            text: tuple[str, ...] = (html_to_text("".join(html)),)
        else:
            text = self._render_part("text", names, missing)
            if not self._text_is_own:
                text = (tidy("".join(text)),)
        return Rendered(subject, html, text), missing

    def _render_part(self, part: str, names: dict[str, Any], missing: dict[str, str]) -> tuple[str, ...]:
        template, meter = self._parts[part], Meter()
        # What `template.new_context(names, shared=True)` makes, without a list of globals that only imports ask for.
        context = Context(template.environment, names, template.name, template.blocks)
        try:
            with metering(meter):
                pieces = tuple(template.root_render_func(context))
        except MemoryError:
            # That tells of this machine, not of the mail.
            raise
        except Exception as error:
            # A text where a number belongs, a division by zero: whatever it is, it is about this mail, and those of
            # others go on. What stops a task from outside is no Exception.
            raise RenderError(
                part,
                _explain(error, template, has_lines=part != "html" or not self.content.is_mjml),
                list(meter.missing),
            ) from None
        if _is_too_large(pieces):
            raise RenderError(part, f"larger than {MAX_OUTPUT // 1024} KiB; shorten the template or its values.")
        for name in meter.missing:
            missing.setdefault(name, part)
        return pieces

    def _imply_text(self, source: str | None) -> None:
        del self._parts["text"]
        if source is None:
            return
        try:
            with naming("text"):
                self._parts["text"] = TEXT.from_string(source)
        except TemplateSyntaxProblem:
            # A tag that spans what text leaves out (an `if` that opens in a <style>): each mail is converted instead.
            return


def compile_content(content: Content) -> CompiledTemplate:
    """The compiled `content`, kept for the next caller; raises InvalidTemplate."""
    return _compiled(content, prepare(content))


def compile_version(version: TemplateVersion) -> CompiledTemplate:
    """The compiled `version`. Kept by content, which for a version never changes."""
    return _compiled(content_of(version), version.compiled_html or version.html)


@lru_cache(maxsize=_CACHED_VERSIONS)
def _compiled(content: Content, html: str) -> CompiledTemplate:
    return CompiledTemplate(content, html)


def _explain(error: BaseException, template: Template, *, has_lines: bool) -> str:
    """The message of `error` with the template's line it happened on, where its lines are those of the author."""
    line, trace = 0, error.__traceback__
    while trace is not None and has_lines:
        if trace.tb_frame.f_globals.get("__jinja_template__") is template:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    message = "nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
    message = message or f"a fault of the kind {type(error).__name__}"
    return f"line {line}: {message}." if line else f"{message}."


def _is_too_large(pieces: tuple[str, ...]) -> bool:
    characters = sum(map(len, pieces))
    # No character takes more than four bytes.
    return characters * 4 > MAX_OUTPUT and sum(len(piece.encode()) for piece in pieces) > MAX_OUTPUT


def _one_line(subject: str) -> str:
    return _BREAKS.sub(" ", subject).strip()[:MAX_SUBJECT].rstrip()
