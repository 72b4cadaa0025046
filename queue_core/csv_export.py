"""Cells of CSV files that a spreadsheet only shows and never runs."""

from typing import Any

# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: Any) -> Any:
    """Text that looks like a formula gets an apostrophe in front; numbers and the rest stay as they are."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
