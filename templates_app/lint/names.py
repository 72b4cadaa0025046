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
    knows_recipients = any(path.startswith("recipient.") for path in known)
    for variable in variables:
        above, _, name = variable.path.rpartition(".")
        if variable.path in given or (above == "recipient" and not knows_recipients):
            continue
        siblings = {path.rpartition(".")[2] for path in given if path.rpartition(".")[0] == above}
        if not above:
            siblings |= {path.partition(".")[0] for path in given}
        close = get_close_matches(name, sorted(siblings - {name}), n=1, cutoff=_ALIKE)
        if close and name not in siblings:
            meant = f"{above}.{close[0]}" if above else close[0]
            yield warning("variable-misspelt", f"“{variable.path}” is nobody's value. Is “{meant}” meant?", part="")
