"""Which values a template asks for, read from its syntax tree.

A variable is a dotted path such as `recipient.address.city`; `products[].name` is a value of each item of a list that
is looped over. It is optional when every place that uses it has an answer for its absence: `|default`, `x or y`,
`is defined`, or a surrounding `{% if x %}`. It is conditional when it is needed only where not every mail gets: in
a branch, in a loop. Names made by the template itself (loops, `set`, `with`) are no variables.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from jinja2 import nodes

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

    `required`: its absence may fail a mail; with `conditional`, only some. `looped`: it is a list.
    """

    path: str
    required: bool
    default: Any = None
    conditional: bool = False
    like: Any = field(default=None, compare=False)
    looped: bool = field(default=False, compare=False)

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
        )


class _Need(IntEnum):
    """How much a place needs its value; of several places the one that needs it most counts."""

    NONE = 0
    IN_SOME_MAILS = 1
    IN_EVERY_MAIL = 2


def variables_of(tree: nodes.Template) -> list[Variable]:
    """The variables of one parsed part; RecursionError when it is nested too deeply to be compiled anyway."""
    reader = _Reader()
    reader.read_all(tree.body, _Place())
    return [
        Variable(
            path,
            need > _Need.NONE,
            reader.defaults.get(path),
            need == _Need.IN_SOME_MAILS,
            reader.likes.get(path),
            path in reader.looped,
        )
        for path, need in reader.found.items()
    ]


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


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the template a node stands: names the template made (with the path they stand for, if they stand for
    one), paths that are known to be there, and whether some mails never get there."""

    local: dict[str, str | None] = field(default_factory=lambda: {"loop": None, "range": None})
    given: frozenset[str] = frozenset()
    is_branch: bool = False

    def inner(self, names: Mapping[str, str | None]) -> "_Place":
        return replace(self, local={**self.local, **names})

    def branch(self, paths: frozenset[str] = frozenset()) -> "_Place":
        """A place that only some mails get to: those for which `paths` are there."""
        return replace(self, given=self.given | paths, is_branch=True)

    def path(self, node: nodes.Node) -> str | None:
        """The dotted path `node` spells, or None."""
        match node:
            case nodes.Name(name=name):
                return self.local.get(name, name)
            case nodes.Getattr(node=owner, attr=key) | nodes.Getitem(node=owner, arg=nodes.Const(value=str(key))):
                above = self.path(owner)
                return above and f"{above}.{key}"
            case nodes.Getitem(node=owner, arg=nodes.Const(value=int())):
                above = self.path(owner)
                return above and f"{above}[]"
        return None

    def knows(self, path: str) -> bool:
        return any(path == known or path.startswith((f"{known}.", f"{known}[]")) for known in self.given)

    def implied(self, test: nodes.Node, outcome: bool) -> frozenset[str]:
        """The paths that are there whenever `test` comes out as `outcome`."""
        match test:
            case nodes.Not(node=inner):
                return self.implied(inner, not outcome)
            case nodes.And() | nodes.Or() if isinstance(test, nodes.And) is outcome:
                return self.implied(test.left, outcome) | self.implied(test.right, outcome)
            case nodes.Test(name="defined" | "undefined" as word, node=inner) if (word == "defined") is outcome:
                return self._paths(inner)
            case nodes.Filter(name="default" | "d", node=inner) if outcome and inner is not None:
                return self._paths(inner) if _stands_for_nothing(test) else frozenset()
            case nodes.Name() | nodes.Getattr() | nodes.Getitem() if outcome:
                return self._paths(test)
        return frozenset()

    def _paths(self, node: nodes.Node) -> frozenset[str]:
        path = self.path(node)
        return frozenset({path}) if path else frozenset()


def _stands_for_nothing(default: nodes.Filter) -> bool:
    """Whether what `|default` puts in the place of an absent value counts as false: one that is true tells nothing."""
    given = [*default.args, *(pair.value for pair in default.kwargs if pair.key == "default_value")]
    return not given or (isinstance(given[0], nodes.Const) and not given[0].value)


class _Reader:
    """Walks a tree in the order it runs and notes each path in `found`, `defaults`, `likes` and `looped`."""

    def __init__(self) -> None:
        self.found: dict[str, _Need] = {}
        self.looped: set[str] = set()
        self.defaults: dict[str, Any] = {}
        self.likes: dict[str, Any] = {}

    def read_all(self, siblings: Iterable[nodes.Node], place: _Place) -> None:
        for node in siblings:
            self.read(node, place)

    def read(self, node: nodes.Node, place: _Place) -> None:
        reader = getattr(self, f"_read_{type(node).__name__.lower()}", None)
        if reader is not None:
            reader(node, place)
        else:
            self.read_all(node.iter_child_nodes(), place)

    def _note(self, path: str, required: bool, place: _Place) -> None:
        need = _Need.NONE
        if required and not place.knows(path):
            need = _Need.IN_SOME_MAILS if place.is_branch else _Need.IN_EVERY_MAIL
        self.found[path] = max(need, self.found.get(path, need))

    def _read_name(self, node: nodes.Name, place: _Place) -> None:
        if node.ctx == "load":
            self._read_path(node, place)

    def _read_path(self, node: nodes.Name | nodes.Getattr | nodes.Getitem, place: _Place) -> None:
        path = place.path(node)
        if path:
            self._note(path, True, place)
        elif not isinstance(node, nodes.Name):
            self.read_all(node.iter_child_nodes(), place)

    _read_getattr = _read_getitem = _read_path

    def _ask(self, node: nodes.Node | None, place: _Place) -> None:
        """Read an expression whose absence is answered for."""
        path = node and place.path(node)
        if path:
            self._note(path, False, place)
        elif isinstance(node, nodes.Not):
            self._ask(node.node, place)
        elif isinstance(node, nodes.And | nodes.Or):
            self._ask(node.left, place)
            self._ask(node.right, place.branch(place.implied(node.left, isinstance(node, nodes.And))))
        elif node is not None:
            self.read(node, place)

    def _read_filter(self, node: nodes.Filter, place: _Place) -> None:
        if node.name in ("default", "d"):
            self._ask(node.node, place)
            self._note_default(node, place)
        elif node.node is not None:
            self.read(node.node, place)
        self._read_arguments(node, place)

    def _read_arguments(self, node: nodes.Filter, place: _Place) -> None:
        for given in [*node.args, *(pair.value for pair in node.kwargs)]:
            # A value that stands in for another one is not looked at while that is there; what is made of it is.
            stands_in = node.name in ("default", "d") and place.path(given) is not None
            self.read(given, place.branch() if stands_in else place)

    def _note_default(self, node: nodes.Filter, place: _Place) -> None:
        path = node.node and place.path(node.node)
        if path and node.args and isinstance(node.args[0], nodes.Const):
            self.defaults.setdefault(path, node.args[0].value)

    def _read_compare(self, node: nodes.Compare, place: _Place) -> None:
        self.read_all(node.iter_child_nodes(), place)
        path, other = place.path(node.expr), node.ops[0].expr
        if path and isinstance(other, nodes.Const):
            self.likes.setdefault(path, other.value)

    def _read_test(self, node: nodes.Test, place: _Place) -> None:
        if node.name in ("defined", "undefined"):
            self._ask(node.node, place)
        else:
            self.read_all(node.iter_child_nodes(), place)

    def _read_not(self, node: nodes.Not, place: _Place) -> None:
        self._ask(node.node, place)

    def _read_or(self, node: nodes.Or, place: _Place) -> None:
        self._ask(node.left, place)
        self.read(node.right, place.branch(place.implied(node.left, False)))

    def _read_and(self, node: nodes.And, place: _Place) -> None:
        self.read(node.left, place)
        self.read(node.right, place.branch(place.implied(node.left, True)))

    def _read_if(self, node: nodes.If, place: _Place) -> None:
        self._ask(node.test, place)
        self.read_all(node.body, place.branch(place.implied(node.test, True)))
        self.read_all([*node.elif_, *node.else_], place.branch(place.implied(node.test, False)))

    def _read_condexpr(self, node: nodes.CondExpr, place: _Place) -> None:
        self._ask(node.test, place)
        self.read(node.expr1, place.branch(place.implied(node.test, True)))
        if node.expr2 is not None:
            self.read(node.expr2, place.branch(place.implied(node.test, False)))

    def _read_for(self, node: nodes.For, place: _Place) -> None:
        self.read(node.iter, place)
        path = place.path(node.iter)
        if path:
            self.looped.add(path)
        inner = place.branch().inner(_targets(node.target, path and f"{path}[]"))
        if node.test is not None:
            self._ask(node.test, inner)
            inner = inner.branch(inner.implied(node.test, True))
        self.read_all(node.body, inner)
        self.read_all(node.else_, place.branch())

    def _read_with(self, node: nodes.With, place: _Place) -> None:
        self.read_all(node.values, place)
        inner = place.inner({})
        for target, value in zip(node.targets, node.values, strict=True):
            inner.local.update(_targets(target, place.path(value)))
        self.read_all(node.body, inner)

    def _read_assign(self, node: nodes.Assign, place: _Place) -> None:
        self.read(node.node, place)
        # `set` holds for what follows in the same block, also beyond an `if`.
        place.local.update(_targets(node.target, place.path(node.node)))

    def _read_assignblock(self, node: nodes.AssignBlock, place: _Place) -> None:
        self.read_all(node.body, place)
        place.local.update(_targets(node.target, None))

    def _read_call(self, node: nodes.Call, place: _Place) -> None:
        self.read_all([*node.args, *node.kwargs], place)


def _targets(target: nodes.Node, path: str | None) -> dict[str, str | None]:
    if isinstance(target, nodes.Name):
        return {target.name: path}
    return {name.name: None for name in target.find_all(nodes.Name)}
