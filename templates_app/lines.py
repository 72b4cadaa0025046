"""Texts that stand on one line: names, subjects, messages."""

import re

from django.core.exceptions import ValidationError

# What ends a line, and what can be neither shown nor stored.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 1000


def legible(text: str, longest: int = _LONGEST) -> str:
    """`text` on one line, cut where it is too long for anybody to read, with � for what cannot be stored or shown."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return _CONTROLS.sub("�", cut)


def one_line(text: str) -> None:
    """Raises ValidationError for text that holds a line break or another control character."""
    found = _CONTROLS.search(text)
    if found:
        raise ValidationError(
            f"A line break or another control character (U+{ord(found[0]):04X}) cannot stand here; remove it.",
            code="control_character",
        )
