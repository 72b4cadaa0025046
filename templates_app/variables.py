"""Which values a template asks for, read from its syntax tree.

A variable is a dotted path such as `recipient.address.city`; `products[].name` is a value of each item of a list that
is looped over. It is optional when every place that uses it has an answer for its absence: `|default`, `x or y`,
`is defined`, or a surrounding `{% if x %}`. It is conditional when it is needed only where not every mail gets: in
a branch, in a loop. Names made by the template itself (loops, `set`, `with`) are no variables; where such a name is
only another one for a path, its uses are uses of that path.
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


# For which a path stands that the template made itself.
_MADE_HERE = ""
_ONLY_MADE_HERE = frozenset({_MADE_HERE})
# Tests that may be asked of what is not there. All but `undefined` say no to it.
_ASK_ONLY = frozenset(
    {"boolean", "defined", "false", "float", "integer", "mapping", "none", "number", "string", "true", "undefined"}
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the template a node stands: names the template gave a value to (with all that each may stand for: paths,
    and _MADE_HERE), paths that are known to be there, and whether some mails never get there."""

    local: dict[str, frozenset[str]] = field(default_factory=lambda: dict.fromkeys(("loop", "range"), _ONLY_MADE_HERE))
    given: frozenset[str] = frozenset()
    is_branch: bool = False

    def inner(self, names: Mapping[str, frozenset[str]]) -> "_Place":
        """A block of its own: what is `set` in it is forgotten behind it."""
        return replace(self, local={**self.local, **names})

    def branch(self, paths: frozenset[str] = frozenset()) -> "_Place":
        """A place that only some mails get to: those for which `paths` are there."""
        return replace(self, local={**self.local}, given=self.given | paths, is_branch=True)

    def settle(self, branches: Iterable["_Place"]) -> None:
        """Behind branches of which each mail took one: a name may stand for what it stood for in any of them."""
        ends = [branch.local for branch in branches]
        for name in {name for local in ends for name in local}:
            self.local[name] = frozenset().union(*(local.get(name, frozenset({name})) for local in ends))

    def paths(self, node: nodes.Node) -> frozenset[str]:
        """All that `node` may stand for, as dotted paths and _MADE_HERE; empty where it is more than a path."""
        match node:
            case nodes.Name(name=name):
                return self.local.get(name, frozenset({name}))
            case nodes.Getattr(node=owner, attr=key) | nodes.Getitem(node=owner, arg=nodes.Const(value=str(key))):
                # A key with a dot in it would be read as two.
                return self._below(owner, f".{key}") if key and not {".", "[", "]"} & set(key) else frozenset()
            case nodes.Getitem(node=owner, arg=nodes.Const(value=int())):
                return self._below(owner, "[]")
        return frozenset()

    def _below(self, owner: nodes.Node, step: str) -> frozenset[str]:
        return frozenset(above and above + step for above in self.paths(owner))

    def path(self, node: nodes.Node) -> str | None:
        """The one dotted path `node` may stand for, or None."""
        paths = self.paths(node) - _ONLY_MADE_HERE
        return next(iter(paths)) if len(paths) == 1 else None

    def knows(self, path: str) -> bool:
        """What is below it may still be missing."""
        return any(known == path or known.startswith((f"{path}.", f"{path}[]")) for known in self.given)

    def implied(self, test: nodes.Node, outcome: bool) -> frozenset[str]:
        """The paths that are there whenever `test` comes out as `outcome`."""
        match test:
            case nodes.Not(node=inner):
                return self.implied(inner, not outcome)
            case nodes.And() | nodes.Or() if isinstance(test, nodes.And) is outcome:
                return self.implied(test.left, outcome) | self.implied(test.right, outcome)
            case nodes.Test(name=word, node=inner) if word in _ASK_ONLY and outcome is (word != "undefined"):
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

    def _note_all(self, paths: Iterable[str], required: bool, place: _Place) -> None:
        for path in paths:
            if path != _MADE_HERE:
                self._note(path, required, place)

    def _read_name(self, node: nodes.Name, place: _Place) -> None:
        if node.ctx == "load":
            self._read_path(node, place)

    def _read_path(self, node: nodes.Name | nodes.Getattr | nodes.Getitem, place: _Place) -> None:
        paths = place.paths(node)
        self._note_all(paths, True, place if len(paths) == 1 else place.branch())
        if not paths:
            self.read_all(node.iter_child_nodes(), place)

    _read_getattr = _read_getitem = _read_path

    def _ask(self, node: nodes.Node | None, place: _Place) -> None:
        """Read an expression whose absence is answered for."""
        paths = place.paths(node) if node else None
        if paths:
            self._note_all(paths, False, place)
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
            if node.name in ("default", "d"):
                self._stand_in(given, place)
            else:
                self.read(given, place)

    def _stand_in(self, node: nodes.Node, place: _Place) -> None:
        """Read a value that is not looked at while the one is there that it stands in for; what is made of it is."""
        if place.paths(node):
            self.read(node, place.branch())
        elif isinstance(node, nodes.And | nodes.Or):
            # What is false is what `and` comes to, and what `or` passes by.
            (self._stand_in if isinstance(node, nodes.And) else self._ask)(node.left, place)
            self._stand_in(node.right, place.branch(place.implied(node.left, isinstance(node, nodes.And))))
        else:
            self.read(node, place)

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
        if node.name in _ASK_ONLY:
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
        ends, other = [], place
        for one in (node, *node.elif_):
            self._ask(one.test, other)
            ends.append(other.branch(other.implied(one.test, True)))
            self.read_all(one.body, ends[-1])
            other = other.branch(other.implied(one.test, False))
        self.read_all(node.else_, other)
        place.settle([*ends, other])

    def _read_condexpr(self, node: nodes.CondExpr, place: _Place) -> None:
        self._ask(node.test, place)
        self.read(node.expr1, place.branch(place.implied(node.test, True)))
        if node.expr2 is not None:
            self.read(node.expr2, place.branch(place.implied(node.test, False)))

    def _read_for(self, node: nodes.For, place: _Place) -> None:
        self.read(node.iter, place)
        paths = place.paths(node.iter)
        self.looped |= paths - _ONLY_MADE_HERE
        inner = place.branch().inner(_targets(node.target, frozenset(path and f"{path}[]" for path in paths)))
        if node.test is not None:
            self._ask(node.test, inner)
            inner = inner.branch(inner.implied(node.test, True))
        self.read_all(node.body, inner)
        self.read_all(node.else_, place.branch())

    def _read_with(self, node: nodes.With, place: _Place) -> None:
        inner = place.inner({})
        for target, value in zip(node.targets, node.values, strict=True):
            inner.local.update(self._named(target, value, place))
        self.read_all(node.body, inner)

    def _read_assign(self, node: nodes.Assign, place: _Place) -> None:
        # `set` holds for what follows in the same block, also beyond an `if`.
        place.local.update(self._named(node.target, node.node, place))

    def _named(self, target: nodes.Node, value: nodes.Node, place: _Place) -> dict[str, frozenset[str]]:
        """What the names of `target` stand for; to give a path another name asks nothing of it."""
        paths = place.paths(value) if isinstance(target, nodes.Name) else frozenset()
        if not paths:
            self.read(value, place)
        return _targets(target, paths)

    def _read_assignblock(self, node: nodes.AssignBlock, place: _Place) -> None:
        self.read_all(node.body, place.inner({}))
        if node.filter is not None:
            self.read(node.filter, place)
        place.local.update(_targets(node.target, frozenset()))

    def _read_filterblock(self, node: nodes.FilterBlock, place: _Place) -> None:
        self.read_all(node.body, place.inner({}))
        self.read(node.filter, place)

    def _read_call(self, node: nodes.Call, place: _Place) -> None:
        self.read_all([*node.args, *node.kwargs], place)


def _targets(target: nodes.Node, paths: frozenset[str]) -> dict[str, frozenset[str]]:
    if isinstance(target, nodes.Name):
        return {target.name: paths or _ONLY_MADE_HERE}
    return {name.name: _ONLY_MADE_HERE for name in target.find_all(nodes.Name)}
