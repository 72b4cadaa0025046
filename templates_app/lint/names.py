"""Variables that look like a slip of the pen."""

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from templates_app.lint.finding import Finding, warning
from templates_app.variables import Variable

# What every mail of a campaign is given.
GIVEN = frozenset({"recipient.email", "recipient.name", "campaign.id", "campaign.name", "unsubscribe_url"})
_ALIKE = 0.8


def misspelt(variables: Iterable[Variable], known: Collection[str]) -> Iterator[Finding]:
    """Variables nobody gives that are nearly one that is given; `known` are dotted paths.

    The values of a recipient are judged only when `known` names some: else nobody knows what the list will hold.
    """
    given = GIVEN | set(known)
    roots = {_root(path) for path in given}
    knows_recipients = any(path.startswith("recipient.") for path in known)
    for variable in variables:
        root = _root(variable.path)
        above, _, name = variable.path.rpartition(".")
        if root not in roots:
            yield from _told(variable, [near + variable.path[len(root) :] for near in _near(root, roots)])
        elif above and variable.path not in given and (above != "recipient" or knows_recipients):
            siblings = {path.rpartition(".")[2] for path in given if path.rpartition(".")[0] == above}
            if name not in siblings:
                yield from _told(variable, [f"{above}.{near}" for near in _near(name, siblings)])


def _root(path: str) -> str:
    return path.partition(".")[0].removesuffix("[]")


def _near(name: str, others: Collection[str]) -> list[str]:
    return get_close_matches(name, sorted(others), n=1, cutoff=_ALIKE)


def _told(variable: Variable, meant: Iterable[str]) -> Iterator[Finding]:
    for path in meant:
        yield warning("variable-misspelt", f"“{variable.path}” is nobody's value. Is “{path}” meant?", part="")
