"""What can be wrong with a template, each with a message for the person who wrote it."""

from collections.abc import Sequence

from templates_app.lines import legible


class TemplateError(Exception):
    """Base of every error this app raises on purpose."""


class TemplateSyntaxProblem(TemplateError):
    """A part that cannot be compiled. `part` is subject, html or text; `line` counts from 1."""

    def __init__(self, part: str, line: int, message: str) -> None:
        self.part = part
        self.line = line
        self.message = legible(message)
        super().__init__(f"{part}, line {line}: {self.message}")


class InvalidTemplate(TemplateError):
    """Content that was refused; holds the first problem of each part."""

    def __init__(self, problems: Sequence[TemplateSyntaxProblem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)

    def by_part(self) -> dict[str, list[str]]:
        """The messages as `{"html": ["line 3: …"]}`, the shape forms and the API answer with."""
        return {problem.part: [f"line {problem.line}: {problem.message}"] for problem in self.problems}


class RenderError(TemplateError):
    """A mail that cannot be made from this context. `missing` names every value that was asked for in vain."""

    def __init__(self, part: str, message: str, missing: Sequence[str] = ()) -> None:
        self.part = part
        self.message = legible(message)
        super().__init__(f"{part}: {self.message}")
        self.missing = tuple(missing)


class FolderRefused(TemplateError):
    """A folder of templates of which none was taken; `faults` are sentences that name the file."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = list(faults)


class NameTaken(TemplateError):
    """Another template, archived ones included, already has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"A template named “{name}” exists already; choose another name.")


class VersionNotFound(TemplateError):
    def __init__(self, number: int) -> None:
        super().__init__(f"There is no version {number} of this template; look at its list of versions.")
