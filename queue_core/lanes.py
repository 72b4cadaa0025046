"""Lanes: what waits in a queue is told apart by its type, when that is limited, and by its key.

The lane of a task is `""` (neither), `type:` or `:key` or `type:key`. Lanes of a queue are served in turns.
"""

from collections.abc import Mapping
from typing import Any

PLAIN = ""
KEY_MAX = 100


def lane_of(name: str, key: str) -> str:
    """The lane for a type (empty unless it is limited) and a key (empty without one)."""
    return f"{name}:{key}" if name or key else PLAIN


def type_in(lane: str) -> str:
    return lane.partition(":")[0]


def key_in(lane: str) -> str:
    return lane.partition(":")[2]


def after(lane: str) -> str:
    """The smallest text that sorts behind a lane, byte by byte."""
    return f"{lane}\x01"


def type_scope(name: str) -> str:
    """Under which the running tasks and the starts of a whole type are counted."""
    return f"{name}:"


def checked_key(value: Any) -> str:
    """The text of a key; ValueError says why it cannot be one."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= KEY_MAX:
        raise ValueError(f"must be a text of 1 to {KEY_MAX} characters, or a whole number")
    if any(char < " " or "\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("must not hold control characters")
    return value


def value_at(payload: Any, path: str) -> Any:
    """The value at `customer.id`; None when a step of it is missing."""
    for step in path.split("."):
        if not isinstance(payload, Mapping) or step not in payload:
            return None
        payload = payload[step]
    return payload
