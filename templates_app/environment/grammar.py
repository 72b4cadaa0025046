"""What a template may say.

Every node of the parsed template must be on the allow-list. Then the tree is rewritten so that whatever costs time or
memory goes through the meter: loops, comparisons, slices and `~`. Keys are texts or whole numbers: to hash a list of
lists would walk through all of it, where no meter counts. What is printed as it stands in the context
(`{{ recipient.name }}`) is looked up and escaped once for a mail. No template may name the inserted filters: neither
after a `|`, nor as a text in `|map("…")`, where the environment looks as well.
"""

import math
from collections.abc import Collection
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.visitor import NodeTransformer

LOOP = "loop over"
WEIGH = "weigh"
CONCAT = "join up"
SLICE = "cut out"
SHOW = "show"
MAX_NODES = 20_000
LARGEST_NUMBER = 10**18
TOO_LARGE = "a number is too large to be meant; write a smaller one"

_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.With, nodes.Assign),
    *(nodes.AssignBlock, nodes.FilterBlock, nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair),
    *(nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call, nodes.Keyword, nodes.Getattr, nodes.Getitem, nodes.Slice),
    *(nodes.Concat, nodes.Compare, nodes.Operand, nodes.Not, nodes.And, nodes.Or, nodes.Neg, nodes.Pos),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
)

# The filters that are given the name of another filter, or of a test, and as which of their arguments.
_NAMED_BY = {
    **{"map": ("filter", 0), "select": ("test", 0), "reject": ("test", 0)},
    **{"selectattr": ("test", 1), "rejectattr": ("test", 1)},
}

# That the context does not hold.
_JINJAS_NAMES = {"caller", "kwargs", "loop", "range", "self", "varargs"}

_WORDS: dict[type[nodes.Node], str] = {
    nodes.CallBlock: "call",
    nodes.FromImport: "from … import",
    nodes.NSRef: "setting a value inside another",
    nodes.Pow: "**",
    nodes.Scope: "autoescape",
}


def harden(tree: nodes.Template, filters: Collection[str], tests: Collection[str]) -> nodes.Template:
    """Check `tree` against the allow-lists and put the meter into it (in place); raises TemplateSyntaxError."""
    size = sum(1 for _ in tree.find_all(nodes.Node))
    if size > MAX_NODES:
        raise TemplateSyntaxError(f"the template has too many tags ({size} parts, limit {MAX_NODES}); shorten it", 1)
    own_names = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    hardened: nodes.Template = _Hardener(filters, tests, own_names | _JINJAS_NAMES).visit(tree)
    return hardened


class _Hardener(NodeTransformer):
    def __init__(self, filters: Collection[str], tests: Collection[str], own_names: Collection[str]) -> None:
        self._filters = filters
        self._tests = tests
        # Those that the template gives a value to, somewhere in it.
        self._own_names = own_names

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if not isinstance(node, _ALLOWED):
            word = _WORDS.get(type(node), type(node).__name__.lower())
            raise TemplateSyntaxError(f"“{word}” is not available in mail templates; remove it", node.lineno or 1)
        return super().generic_visit(node, *args, **kwargs)

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [self._shown(child) for child in node.nodes]
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise TemplateSyntaxError("recursive loops are not available; write nested loops instead", node.lineno)
        cost = sum(
            len(inner.data) if isinstance(inner, nodes.TemplateData) else 1 for inner in node.find_all(nodes.Node)
        )
        self.generic_visit(node)
        walked: nodes.Expr = node.iter  # type: ignore[assignment]  # a Node by Jinja's own annotation
        node.iter = _filter(LOOP, walked, nodes.Const(cost))
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        _check_name("filter", node.name, self._filters, node.lineno)
        kind, place = _NAMED_BY.get(node.name, ("", 0))
        named = node.args[place] if kind and place < len(node.args) else None
        # What is no plain text is only known, and looked up, when it runs.
        if isinstance(named, nodes.Const):
            _check_name(kind, named.value, self._filters if kind == "filter" else self._tests, named.lineno)
        return self.generic_visit(node)

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        _check_name("test", node.name, self._tests, node.lineno)
        return self.generic_visit(node)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        callee = node.node
        is_range = isinstance(callee, nodes.Name) and callee.name == "range"
        is_cycle = (
            isinstance(callee, nodes.Getattr)
            and callee.attr == "cycle"
            and isinstance(callee.node, nodes.Name)
            and callee.node.name == "loop"
        )
        if not (is_range or is_cycle):
            raise TemplateSyntaxError(
                "only range() and loop.cycle() can be called; use a filter instead, such as {{ name|title }}",
                node.lineno,
            )
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filter(CONCAT, node.nodes[0], *node.nodes[1:])

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _weighed(node.expr)
        for operand in node.ops:
            operand.expr = _weighed(operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        return _filter(SLICE, node.node, *(nodes.Const(None) if bound is None else bound for bound in bounds))

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        value = node.value
        is_too_large = isinstance(value, int) and abs(value) > LARGEST_NUMBER
        if is_too_large or (isinstance(value, float) and not math.isfinite(value)):
            raise TemplateSyntaxError(TOO_LARGE, node.lineno)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        if not (isinstance(node.key, nodes.Const) and isinstance(node.key.value, str | int)):
            raise TemplateSyntaxError(
                "a key in { } is a text or a whole number, as it stands; write it so", node.lineno
            )
        return self.generic_visit(node)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:
        self.generic_visit(node)
        if node.expr2 is None:
            node.expr2 = nodes.Const("", lineno=node.lineno)
        return node

    def _shown(self, printed: nodes.Expr) -> nodes.Expr:
        path = _path(printed)
        if not path or path[0] in self._own_names:
            return printed
        return _filter(SHOW, nodes.Const(path, lineno=printed.lineno))


def _path(node: nodes.Node) -> tuple[str, ...]:
    """(`recipient`, `name`) of what says `recipient.name` or `recipient["name"]`; empty for anything else."""
    keys: list[str] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            keys.append(node.arg.value)
        else:
            return ()
        node = node.node
    return (node.name, *reversed(keys))


def _check_name(kind: str, name: str, known: Collection[str], line: int) -> None:
    if name not in known:
        names = " ".join(sorted(word for word in known if word.isidentifier()))
        raise TemplateSyntaxError(f"there is no {kind} “{name}”; use one of: {names}", line)


def _weighed(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _filter(WEIGH, node)


def _filter(name: str, value: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(args), [], None, None, lineno=value.lineno)
