"""preflight: what would go wrong, and what to mind, if this campaign were launched now.

A check is a function of a campaign that yields items: at least one, also when all is well. To add one, write it in the
module of its subject and name it in CHECKS; in CHECKS_OF_PEOPLE when it looks at recipients, whose number it is told.
"""

from collections.abc import Callable, Iterator

from campaigns.models import Campaign
from campaigns.services.preflight.audience import audience, imports
from campaigns.services.preflight.content import content
from campaigns.services.preflight.item import Item
from campaigns.services.preflight.links import links
from campaigns.services.preflight.sender import reply_to, sender
from campaigns.services.preflight.sending import duration, planned, transport
from campaigns.states import PreflightLevel

__all__ = ["Item", "preflight", "problems"]

Check = Callable[[Campaign], Iterator[Item]]
CHECKS: tuple[Check, ...] = (imports, sender, reply_to, links, transport, duration, planned)
CHECKS_OF_PEOPLE: tuple[Callable[[Campaign, int | None], Iterator[Item]], ...] = (audience, content)
_ORDER = list(PreflightLevel)


def preflight(campaign: Campaign, *, people: int | None = None) -> list[Item]:
    """The checklist: what blocks the launch first, then what to mind, what is good to know, and what is in order.

    Looks at the first `people` recipients, and says so where there are more; None: at all, however long it takes.
    """
    items = [item for check in CHECKS_OF_PEOPLE for item in check(campaign, people)]
    items += [item for check in CHECKS for item in check(campaign)]
    return sorted(items, key=lambda item: _ORDER.index(item.level))


def problems(campaign: Campaign) -> list[str]:
    """Sentences that say what blocks the launch, and what to do; none when it may go."""
    return [item.message for item in preflight(campaign) if item.level == PreflightLevel.BLOCK]
