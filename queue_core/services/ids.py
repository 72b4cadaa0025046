"""The one place where ids that a verb is given are checked, before a statement is made of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from queue_core.errors import InvalidSubmission


def is_id(value: Any) -> bool:
    """PostgreSQL's bigint ends at 2**63; a larger number is nobody's id."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def checked_id(value: Any, field: str = "id") -> int:
    """The id; InvalidSubmission for what cannot be one."""
    if not is_id(value):
        raise InvalidSubmission(field, "must be a whole number from 1 on")
    return int(value)


def checked_ids(values: Any, field: str = "ids") -> list[int]:
    """The ids as a list; InvalidSubmission for anything but a collection of ids."""
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | bytearray | Mapping):
        found = list(values)
        if all(map(is_id, found)):
            return found
    raise InvalidSubmission(field, "must be a list of ids: whole numbers from 1 on")
