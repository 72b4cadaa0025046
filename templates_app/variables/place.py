"""What is known at one place of a template."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jinja2 import nodes

# For which a path stands that the template made itself.
MADE_HERE = ""
ONLY_MADE_HERE = frozenset({MADE_HERE})
# Tests that may be asked of what is not there. All but `undefined` say no to it.
ASK_ONLY = frozenset(
    {"boolean", "defined", "false", "float", "integer", "mapping", "none", "number", "string", "true", "undefined"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the template a node stands: names the template gave a value to (with all that each may stand for: paths,
    and MADE_HERE), paths that are known to be there, and whether some mails never get there."""

    local: dict[str, frozenset[str]] = field(default_factory=lambda: dict.fromkeys(("loop", "range"), ONLY_MADE_HERE))
    given: frozenset[str] = frozenset()
    is_branch: bool = False

    def inner(self, names: Mapping[str, frozenset[str]]) -> "Place":
        """A block of its own: what is `set` in it is forgotten behind it."""
        return replace(self, local={**self.local, **names})

    def branch(self, paths: frozenset[str] = frozenset()) -> "Place":
        """A place that only some mails get to: those for which `paths` are there."""
        return replace(self, local={**self.local}, given=self.given | paths, is_branch=True)

    def settle(self, branches: Iterable["Place"]) -> None:
        """Behind branches of which each mail took one: a name may stand for what it stood for in any of them."""
        ends = [branch.local for branch in branches]
        for name in {name for local in ends for name in local}:
            self.local[name] = frozenset().union(*(local.get(name, frozenset({name})) for local in ends))

    def paths(self, node: nodes.Node) -> frozenset[str]:
        """All that `node` may stand for, as dotted paths and MADE_HERE; empty where it is more than a path."""
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
        paths = self.paths(node) - ONLY_MADE_HERE
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
            case nodes.Test(name=word, node=inner) if word in ASK_ONLY and outcome is (word != "undefined"):
                return self._paths(inner)
            case nodes.Filter(name="default" | "d", node=inner) if outcome and inner is not None:
                return self._paths(inner) if _stands_for_nothing(test) else frozenset()
            case nodes.Name() | nodes.Getattr() | nodes.Getitem() if outcome:
                return self._paths(test)
        return frozenset()

    def asked(self, test: nodes.Node) -> frozenset[str]:
        """The paths of which `test` asks whether they are true."""
        match test:
            case nodes.Not(node=inner):
                return self.asked(inner)
            case nodes.And() | nodes.Or():
                return self.asked(test.left) | self.asked(test.right)
        return self.paths(test) - ONLY_MADE_HERE

    def _paths(self, node: nodes.Node) -> frozenset[str]:
        path = self.path(node)
        return frozenset({path}) if path else frozenset()


def _stands_for_nothing(default: nodes.Filter) -> bool:
    """Whether what `|default` puts in the place of an absent value counts as false: one that is true tells nothing."""
    given = [*default.args, *(pair.value for pair in default.kwargs if pair.key == "default_value")]
    return not given or (isinstance(given[0], nodes.Const) and not given[0].value)
