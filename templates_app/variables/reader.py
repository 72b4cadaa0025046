"""The walk through a template's syntax tree."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from jinja2 import nodes

from templates_app.variables.place import ASK_ONLY, MADE_HERE, ONLY_MADE_HERE, Place
from templates_app.variables.variable import Variable

# What these filters take.
_LIKE_FILTERED: dict[str, Any] = {"date": "2026-03-31", "abs": 42, "number": 42, "round": 42}


class _Need(IntEnum):
    """How much a place needs its value; of several places the one that needs it most counts."""

    NONE = 0
    IN_SOME_MAILS = 1
    IN_EVERY_MAIL = 2


def variables_of(tree: nodes.Template) -> list[Variable]:
    """The variables of one parsed part; RecursionError when it is nested too deeply to be compiled anyway."""
    reader = _Reader()
    reader.read_all(tree.body, Place())
    return [
        Variable(
            path,
            need > _Need.NONE,
            reader.defaults.get(path),
            need == _Need.IN_SOME_MAILS,
            reader.likes.get(path),
            path in reader.looped,
            path in reader.asked and path not in reader.likes,
        )
        for path, need in reader.found.items()
    ]


class _Reader:
    """Walks a tree in the order it runs and notes each path in `found`, `asked`, `defaults`, `likes` and `looped`."""

    def __init__(self) -> None:
        self.found: dict[str, _Need] = {}
        self.asked: set[str] = set()
        self.looped: set[str] = set()
        self.defaults: dict[str, Any] = {}
        self.likes: dict[str, Any] = {}

    def read_all(self, siblings: Iterable[nodes.Node], place: Place) -> None:
        for node in siblings:
            self.read(node, place)

    def read(self, node: nodes.Node, place: Place) -> None:
        reader = getattr(self, f"_read_{type(node).__name__.lower()}", None)
        if reader is not None:
            reader(node, place)
        else:
            self.read_all(node.iter_child_nodes(), place)

    def _note(self, path: str, required: bool, place: Place) -> None:
        need = _Need.NONE
        if required and not place.knows(path):
            need = _Need.IN_SOME_MAILS if place.is_branch else _Need.IN_EVERY_MAIL
        self.found[path] = max(need, self.found.get(path, need))

    def _note_all(self, paths: Iterable[str], required: bool, place: Place) -> None:
        for path in paths:
            if path != MADE_HERE:
                self._note(path, required, place)

    def _read_name(self, node: nodes.Name, place: Place) -> None:
        if node.ctx == "load":
            self._read_path(node, place)

    def _read_path(self, node: nodes.Name | nodes.Getattr | nodes.Getitem, place: Place) -> None:
        paths = place.paths(node)
        self._note_all(paths, True, place if len(paths) == 1 else place.branch())
        if not paths:
            self.read_all(node.iter_child_nodes(), place)

    _read_getattr = _read_getitem = _read_path

    def _ask(self, node: nodes.Node | None, place: Place) -> None:
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

    def _decide(self, test: nodes.Node, place: Place) -> None:
        """Read what an `if` asks."""
        self._ask(test, place)
        self.asked |= place.asked(test)

    def _read_filter(self, node: nodes.Filter, place: Place) -> None:
        if node.name in ("default", "d"):
            self._ask(node.node, place)
            self._note_default(node, place)
        elif node.node is not None:
            self.read(node.node, place)
            path = place.path(node.node)
            if path and node.name in _LIKE_FILTERED:
                self.likes.setdefault(path, _LIKE_FILTERED[node.name])
        self._read_arguments(node, place)

    def _read_arguments(self, node: nodes.Filter, place: Place) -> None:
        for given in [*node.args, *(pair.value for pair in node.kwargs)]:
            if node.name in ("default", "d"):
                self._stand_in(given, place)
            else:
                self.read(given, place)

    def _stand_in(self, node: nodes.Node, place: Place) -> None:
        """Read a value that is not looked at while the one is there that it stands in for; what is made of it is."""
        if place.paths(node):
            self.read(node, place.branch())
        elif isinstance(node, nodes.And | nodes.Or):
            # What is false is what `and` comes to, and what `or` passes by.
            (self._stand_in if isinstance(node, nodes.And) else self._ask)(node.left, place)
            self._stand_in(node.right, place.branch(place.implied(node.left, isinstance(node, nodes.And))))
        else:
            self.read(node, place)

    def _note_default(self, node: nodes.Filter, place: Place) -> None:
        path = node.node and place.path(node.node)
        if path and node.args and isinstance(node.args[0], nodes.Const):
            self.defaults.setdefault(path, node.args[0].value)

    def _read_compare(self, node: nodes.Compare, place: Place) -> None:
        self.read_all(node.iter_child_nodes(), place)
        path, other = place.path(node.expr), node.ops[0].expr
        if path and isinstance(other, nodes.Const):
            self.likes.setdefault(path, other.value)

    def _read_test(self, node: nodes.Test, place: Place) -> None:
        if node.name in ASK_ONLY:
            self._ask(node.node, place)
        else:
            self.read_all(node.iter_child_nodes(), place)

    def _read_not(self, node: nodes.Not, place: Place) -> None:
        self._ask(node.node, place)

    def _read_or(self, node: nodes.Or, place: Place) -> None:
        self._ask(node.left, place)
        self.read(node.right, place.branch(place.implied(node.left, False)))

    def _read_and(self, node: nodes.And, place: Place) -> None:
        self.read(node.left, place)
        self.read(node.right, place.branch(place.implied(node.left, True)))

    def _read_if(self, node: nodes.If, place: Place) -> None:
        ends, other = [], place
        for one in (node, *node.elif_):
            self._decide(one.test, other)
            ends.append(other.branch(other.implied(one.test, True)))
            self.read_all(one.body, ends[-1])
            other = other.branch(other.implied(one.test, False))
        self.read_all(node.else_, other)
        place.settle([*ends, other])

    def _read_condexpr(self, node: nodes.CondExpr, place: Place) -> None:
        self._decide(node.test, place)
        self.read(node.expr1, place.branch(place.implied(node.test, True)))
        if node.expr2 is not None:
            self.read(node.expr2, place.branch(place.implied(node.test, False)))

    def _read_for(self, node: nodes.For, place: Place) -> None:
        self.read(node.iter, place)
        paths = place.paths(node.iter)
        self.looped |= paths - ONLY_MADE_HERE
        inner = place.branch().inner(_targets(node.target, frozenset(path and f"{path}[]" for path in paths)))
        if node.test is not None:
            self._decide(node.test, inner)
            inner = inner.branch(inner.implied(node.test, True))
        self.read_all(node.body, inner)
        self.read_all(node.else_, place.branch())

    def _read_with(self, node: nodes.With, place: Place) -> None:
        inner = place.inner({})
        for target, value in zip(node.targets, node.values, strict=True):
            inner.local.update(self._named(target, value, place))
        self.read_all(node.body, inner)

    def _read_assign(self, node: nodes.Assign, place: Place) -> None:
        # `set` holds for what follows in the same block, also beyond an `if`.
        place.local.update(self._named(node.target, node.node, place))

    def _named(self, target: nodes.Node, value: nodes.Node, place: Place) -> dict[str, frozenset[str]]:
        """What the names of `target` stand for; to give a path another name asks nothing of it."""
        paths = place.paths(value) if isinstance(target, nodes.Name) else frozenset()
        if not paths:
            self.read(value, place)
        return _targets(target, paths)

    def _read_assignblock(self, node: nodes.AssignBlock, place: Place) -> None:
        self.read_all(node.body, place.inner({}))
        if node.filter is not None:
            self.read(node.filter, place)
        place.local.update(_targets(node.target, frozenset()))

    def _read_filterblock(self, node: nodes.FilterBlock, place: Place) -> None:
        self.read_all(node.body, place.inner({}))
        self.read(node.filter, place)

    def _read_call(self, node: nodes.Call, place: Place) -> None:
        self.read_all([*node.args, *node.kwargs], place)


def _targets(target: nodes.Node, paths: frozenset[str]) -> dict[str, frozenset[str]]:
    if isinstance(target, nodes.Name):
        return {target.name: paths or ONLY_MADE_HERE}
    return {name.name: ONLY_MADE_HERE for name in target.find_all(nodes.Name)}
