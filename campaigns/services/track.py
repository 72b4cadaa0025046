"""take_click, take_open: somebody, or a machine, followed a link or loaded the picture of a mail."""

import re

from django.utils import timezone

from campaigns import lifecycle
from campaigns.lifecycle import Happened
from campaigns.models import Campaign, Recipient, TrackedLink
from campaigns.states import EventKind
from campaigns.tracking import Tracker, digest, links_in, read_click, read_open
from queue_core.texts import shorten

# Nobody reads that fast: what looks at a mail while it is delivered is a filter on its way.
_MACHINE_SECONDS = 2.0
# Programs that say who they are: link checkers, previews of messengers, and proxies that load all pictures in advance
# (Google's, Yahoo's, and Apple's Mail Privacy Protection, whose agent is the bare "Mozilla/5.0").
_MACHINE = re.compile(
    r"bot\b|crawl|spider|preview|scan|proofpoint|barracuda|mimecast|messagelabs|safelinks|googleimageproxy|yahoomailproxy"
    r"|facebookexternalhit|whatsapp|slack|curl|wget|python|java/|go-http|okhttp|headless|^mozilla/5\.0$|^$",
    re.IGNORECASE,
)


# Of a campaign, as mail services tell of them.
_LINKS_MAX = 1_000
_URL_MAX = 2_000


def tracker_of(campaign: Campaign, source: str) -> Tracker | None:
    """For the mails of a campaign whose template comes to this HTML; None when nothing is tracked."""
    if not (campaign.track_clicks or campaign.track_opens):
        return None
    return Tracker(_links(campaign, source) if campaign.track_clicks else None, opens=campaign.track_opens)


def _links(campaign: Campaign, source: str) -> dict[str, int]:
    wanted = {digest(url): url for url in links_in(source)}
    rows = TrackedLink.objects.filter(campaign=campaign)
    known = dict(rows.values_list("digest", "pk"))
    missing = [TrackedLink(campaign=campaign, url=url, digest=key) for key, url in wanted.items() if key not in known]
    if missing:
        # Workers begin a campaign at the same moment.
        TrackedLink.objects.bulk_create(missing, ignore_conflicts=True)
        known = dict(rows.values_list("digest", "pk"))
    return {url: known[key] for key, url in wanted.items()}


def link_of(campaign_id: int, url: str) -> int | None:
    """The id of the row of a link that a mail service tells of; None for one of more than a campaign can have.

    With values of the recipient in its links, there is one for each.
    """
    url = shorten(url, _URL_MAX)
    rows, key = TrackedLink.objects.filter(campaign=campaign_id), digest(url)
    known = rows.filter(digest=key).values_list("pk", flat=True).first()
    if known is None and rows.count() < _LINKS_MAX:
        TrackedLink.objects.bulk_create(
            [TrackedLink(campaign_id=campaign_id, url=url, digest=key)], ignore_conflicts=True
        )
        known = rows.filter(digest=key).values_list("pk", flat=True).first()
    return known


def take_click(token: str, agent: str, *, counts: bool = True) -> str | None:
    """Where the link leads; None for a token that is not ours.

    The first click on it by a person is an event; those after it are only counted.
    """
    found = read_click(token)
    if found is None:
        return None
    recipient = Recipient.objects.filter(pk=found[0]).first()
    link = TrackedLink.objects.filter(pk=found[1]).first()
    if recipient is None or link is None or link.campaign_id != recipient.campaign_id:
        return None
    if counts and _is_person(recipient, agent):
        source = f"click:{recipient.pk}:{link.pk}"
        click = Happened(recipient.pk, EventKind.CLICKED, detail=link.url, source_id=source, link=link.pk)
        if not lifecycle.record_events([click]):
            lifecycle.count_click(link.pk)
    return str(link.url)


def take_open(token: str, agent: str, *, counts: bool = True) -> bool:
    """Whether the token is ours. The first opening by a person is an event."""
    found = read_open(token)
    recipient = Recipient.objects.filter(pk=found).first() if found is not None else None
    if recipient is None:
        return False
    if counts and _is_person(recipient, agent):
        lifecycle.record_events([Happened(recipient.pk, EventKind.OPENED, source_id=f"open:{recipient.pk}")])
    return True


def _is_person(recipient: Recipient, agent: str) -> bool:
    """As far as can be told."""
    too_fast = recipient.sent_at is None or (timezone.now() - recipient.sent_at).total_seconds() < _MACHINE_SECONDS
    return not too_fast and not _MACHINE.search(agent.strip())
