"""What a template sees: a copy made of plain values only, in which every branch knows its dotted path."""

from collections.abc import Mapping
from datetime import date
from typing import Any

_DEEPEST = 32


class NotPlainData(TypeError):
    """A value of a kind that templates do not get to see."""


class Branch(dict[str, Any]):
    """A dictionary of the context. `path` (“recipient.address”, blank at the top) names what is missing in it."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


def plain(context: Mapping[str, Any]) -> Branch:
    """Copy `context`; dates become ISO text. Raises NotPlainData for objects and for data nested 32 deep.

    A null is not copied, nor as one of a list: for a template it is the same as a value that was not given.
    """
    return _branch(context, "", 0)


def _branch(mapping: Mapping[Any, Any], path: str, depth: int) -> Branch:
    branch = Branch(path)
    prefix = f"{path}." if path else ""
    for key, value in mapping.items():
        if type(key) is not str:
            raise NotPlainData(f"“{path}” has a key that is not text ({key!r}); use text keys")
        if type(value) is str:
            branch[key] = value
        elif value is not None:
            branch[key] = _plain(value, prefix + key, depth)
    return branch


def _plain(value: Any, path: str, depth: int) -> Any:
    if isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        # A Markup or SafeString would slip past autoescape.
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, date):
        return value.isoformat()
    if depth == _DEEPEST:
        raise NotPlainData(f"“{path}” is nested too deeply; flatten it")
    if isinstance(value, dict):
        return _branch(value, path, depth + 1)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[]", depth + 1) for item in value if item is not None]
    raise NotPlainData(
        f"“{path}” is a {type(value).__name__}; give text, numbers, yes/no, dates, lists or dictionaries only"
    )
