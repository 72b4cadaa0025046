from collections.abc import Iterator
from contextlib import contextmanager

from jinja2 import TemplateSyntaxError

from templates_app.errors import TemplateSyntaxProblem


@contextmanager
def naming(part: str) -> Iterator[None]:
    """Tell the author what the compiler tells us."""
    try:
        yield
    except TemplateSyntaxError as error:
        raise TemplateSyntaxProblem(part, error.lineno, error.message or "cannot be read; check this line") from None
    except (RecursionError, MemoryError, SyntaxError):
        raise TemplateSyntaxProblem(part, 1, "nested too deeply; write it with fewer levels") from None
