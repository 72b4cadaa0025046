"""One variable, and the sample value it is shown with."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_SAMPLES = {
    "campaign.name": "Autumn news",
    "recipient.email": "ada@example.com",
    "recipient.first_name": "Ada",
    "recipient.last_name": "Lovelace",
    "recipient.name": "Ada Lovelace",
    "unsubscribe_url": "https://example.com/unsubscribe/sample/",
}
_HINTS: dict[frozenset[str], Any] = {
    frozenset({"url", "link", "href"}): "https://example.com/",
    frozenset({"image", "img", "picture", "logo"}): "https://example.com/image.png",
    frozenset({"email", "mail"}): "ada@example.com",
    frozenset({"date", "day", "at", "on", "until", "birthday"}): "2026-03-31",
    frozenset({"price", "total", "sum", "amount", "count", "quantity", "number", "points", "age", "year"}): 42,
}


@dataclass(frozen=True, slots=True)
class Variable:
    """`default` is what one of its places shows in its absence, `like` what it is compared with, where plain values.

    `required`: its absence may fail a mail; with `conditional`, only some. `looped`: it is a list. `asked`: an `if`
    asks whether it is true, and nothing compares it.
    """

    path: str
    required: bool
    default: Any = None
    conditional: bool = False
    like: Any = field(default=None, compare=False)
    looped: bool = field(default=False, compare=False)
    asked: bool = field(default=False, compare=False)

    @property
    def sample(self) -> Any:
        """A readable value to start a preview from."""
        if self.like is not None:
            return self.like
        sample = _SAMPLES.get(self.path) or _made_up(self.path.rpartition(".")[2].removesuffix("[]"))
        return [sample] if self.looped else sample

    def merged(self, other: "Variable") -> "Variable":
        """The same path in two parts of a template: needed in every mail, if one of them needs it there."""
        needs = [one.conditional for one in (self, other) if one.required]
        return Variable(
            self.path,
            bool(needs),
            self.default if self.default is not None else other.default,
            bool(needs) and all(needs),
            self.like if self.like is not None else other.like,
            self.looped or other.looped,
            (self.asked or other.asked) and self.like is None and other.like is None,
        )


def merged(variables: Iterable[Variable]) -> list[Variable]:
    """Each path once, sorted; what one of the parts needs is needed."""
    found: dict[str, Variable] = {}
    for one in variables:
        found[one.path] = found[one.path].merged(one) if one.path in found else one
    return [found[path] for path in sorted(found)]


def sample_context(variables: Iterable[Variable]) -> dict[str, Any]:
    """A context that gives every variable a readable value, to start a preview from."""
    sample: dict[str, Any] = {}
    for variable in variables:
        _plant(sample, variable.path.split("."), variable.sample)
    return sample


def _made_up(name: str) -> Any:
    """A value such as the last part of a path hints at; the name itself where it hints at nothing."""
    last = name.lower().rpartition("_")[2]
    return next((value for words, value in _HINTS.items() if last in words), name)


def _plant(branch: dict[str, Any], keys: list[str], value: Any) -> None:
    """Put `value` under `keys`. What holds others becomes a dictionary; a key that ends in [] a list of one."""
    key, *rest = keys
    name = key.removesuffix("[]")
    is_list = key != name
    if not rest:
        if is_list and isinstance(value, list):
            branch[name] = [value]
        branch.setdefault(name, [value] if is_list else value)
        return
    below = branch.get(name)
    if is_list and isinstance(below, list):
        below = below[0]
    if not isinstance(below, dict):
        below = {}
    branch[name] = [below] if is_list else below
    _plant(below, rest, value)
