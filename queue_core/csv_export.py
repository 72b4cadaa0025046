"""Cells of CSV files that a spreadsheet only shows and never runs."""

import re
from typing import Any

# What a spreadsheet would take for a formula, and what looks like one that was made safe: so the way back is certain.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def safe_cell(value: Any) -> Any:
    """Text that looks like a formula gets an apostrophe in front; numbers and the rest stay as they are."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def plain_cell(text: str) -> str:
    """The text that `safe_cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
