"""JSON as text, from whatever door: what PostgreSQL could not store, or nobody could read back, is refused."""

import json
import math
from typing import Any

MAX_DEPTH = 32
_BIGINT = range(-(2**63), 2**63)
_MAX_DIGITS = 19


class JsonRefused(ValueError):
    """Says what to change."""


def read_json(text: str, subject: str = "This") -> Any:
    """The value: of bounded depth, with finite numbers of 64 bits and whole characters.

    Raises JsonRefused; `subject` is how its sentences call the text.
    """
    try:
        data = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_not_a_number)
    except RecursionError:
        raise _too_deep(subject) from None
    except json.JSONDecodeError as exc:
        raise JsonRefused(f"{subject} is not JSON: {exc}.") from None
    _check_values(data, subject)
    return data


def _too_deep(subject: str) -> JsonRefused:
    return JsonRefused(f"{subject} is nested deeper than {MAX_DEPTH} levels; flatten it.")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS or int(digits) not in _BIGINT:
        raise JsonRefused(f"The number {digits[:30]} is out of range; send numbers of 64 bits, or text.")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonRefused(f"The number {digits[:30]} is out of range; send a smaller one, or text.")
    return value


def _not_a_number(name: str) -> float:
    raise JsonRefused(f"{name} is not JSON; send null or text.")


def _check_values(data: Any, subject: str) -> None:
    """Level by level, so that no nesting can exhaust the stack."""
    level, depth = [data], 0
    while level:
        if depth > MAX_DEPTH:
            raise _too_deep(subject)
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
        level, depth = below, depth + 1


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise JsonRefused("A text holds a NUL character (\\u0000), which cannot be stored; remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise JsonRefused("A text holds half of a surrogate pair (\\ud800-\\udfff); send whole characters.") from None
