from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

# Of one kind; a template with a thousand bare images is told once more than enough.
_MOST = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a template: an error keeps it from being sent, a warning does not.

    `line` counts from 1 in `part` (subject, html or text) as its author wrote it; None where it is about the whole.
    """

    level: Literal["error", "warning"]
    code: str
    message: str
    part: str = "html"
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.part}, line {self.line}: {self.message}" if self.line else self.message


def error(code: str, message: str, line: int | None = None, part: str = "html") -> Finding:
    return Finding("error", code, message, part, line)


def warning(code: str, message: str, line: int | None = None, part: str = "html") -> Finding:
    return Finding("warning", code, message, part, line)


def limited(findings: Iterable[Finding]) -> Iterator[Finding]:
    """`findings` with at most ten of one code, each once."""
    seen: set[Finding] = set()
    codes: Counter[str] = Counter()
    for finding in findings:
        if finding not in seen and codes[finding.code] < _MOST:
            seen.add(finding)
            codes[finding.code] += 1
            yield finding
