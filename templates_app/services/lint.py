from collections.abc import Collection, Mapping
from typing import Any

from templates_app.lint import Finding, examine
from templates_app.rendering import Content

__all__ = ["Finding", "lint"]


def lint(*, content: Content, context: Mapping[str, Any] | None = None, known: Collection[str] = ()) -> list[Finding]:
    """What is wrong with a template, errors first; empty when all is well. Writes nothing, asks nobody.

    `context` makes the mail that is looked at; without it, made-up values do, and what depends on real ones (where a
    link of a variable leads) is left out. `known` are the dotted paths that recipients and campaign give
    (`recipient.first_name`): what is nearly one of them is told as misspelt. A template that does not compile has the
    error `syntax`. At most ten findings of one code.
    """
    return examine(content, context, known)
