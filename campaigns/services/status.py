"""status, totals: how far a campaign has come, from the running counts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from campaigns import lifecycle
from campaigns.models import Campaign
from campaigns.services.launch_task import has_launch_task
from campaigns.states import OPEN, CampaignState, RecipientState
from queue_core.texts import grouped

# Of these a mail has left, or was refused.
_MAILED = (RecipientState.SENT, RecipientState.REJECTED, RecipientState.BOUNCED, RecipientState.UNCONFIRMED)

# A year: what is further off is no estimate.
_FAR_MINUTES = 525_600


def status(campaign: Campaign) -> dict[str, Any]:
    """State, recipients per state, `rate_per_minute` and times (datetime or None).

    `rate_per_minute`: mails tried in the last minutes; of a campaign that is over, on average. `eta`: when it will be
    over; None while something keeps it from sending, and when all that is left waits for `next_try_at`.
    """
    counts = lifecycle.counts(campaign.pk)
    trouble = campaign.trouble or _lost(campaign)
    rate = _rate(campaign, counts)
    first, last = _next_tries(campaign, counts)
    return {
        "id": campaign.pk,
        "name": campaign.name,
        "state": campaign.state,
        "summary": headline(campaign.state, counts),
        "total": sum(counts.values()),
        **counts,
        "rate_per_minute": round(rate),
        "rate_limit": campaign.rate_per_minute,
        "eta": None if trouble else _eta(campaign, counts, rate, last),
        "next_try_at": first,
        "started_at": campaign.launched_at,
        "finished_at": campaign.finished_at,
        "trouble": trouble,
    }


def totals(campaigns: Sequence[Campaign]) -> dict[int, int]:
    """How many recipients each has, by its id, in one query."""
    found = lifecycle.totals([campaign.pk for campaign in campaigns])
    return {campaign.pk: found.get(campaign.pk, 0) for campaign in campaigns}


def _lost(campaign: Campaign) -> str:
    """Somebody may have cancelled in the queue what was to launch it."""
    if campaign.state != CampaignState.SCHEDULED or has_launch_task(campaign.pk):
        return ""
    return "The task that was to launch it is gone from the queue; it gets another one within five minutes."


def headline(state: str, counts: dict[str, int]) -> str:
    """The honest end: "completed, 12 rejected, 3 unconfirmed"."""
    notable = (RecipientState.REJECTED, RecipientState.BOUNCED, RecipientState.UNCONFIRMED)
    return ", ".join([state, *(f"{grouped(counts[found])} {found}" for found in notable if counts[found])])


def _rate(campaign: Campaign, counts: dict[str, int]) -> float:
    if campaign.state == CampaignState.SENDING:
        pace = lifecycle.pace(campaign.pk)
        # A limit that was just lowered holds already.
        return min(pace, campaign.rate_per_minute) if campaign.rate_per_minute else pace
    if campaign.launched_at is None or campaign.finished_at is None:
        return 0.0
    seconds = (campaign.finished_at - campaign.launched_at).total_seconds()
    return sum(counts[state] for state in _MAILED) / max(seconds, 0.001) * 60


def _next_tries(campaign: Campaign, counts: dict[str, int]) -> tuple[datetime | None, datetime | None]:
    if campaign.state != CampaignState.SENDING or not counts[RecipientState.DEFERRED]:
        return None, None
    return lifecycle.next_tries(campaign.pk)


def _eta(campaign: Campaign, counts: dict[str, int], rate: float, last_try: datetime | None) -> datetime | None:
    """Not before the last of the deferred ones is due."""
    in_line = counts[RecipientState.PENDING] + counts[RecipientState.SENDING]
    if campaign.state != CampaignState.SENDING or not in_line or not rate:
        return None
    minutes = sum(counts[state] for state in OPEN) / rate
    if minutes > _FAR_MINUTES:
        return None
    by_rate = timezone.now() + timedelta(minutes=minutes)
    return max(by_rate, last_try) if last_try else by_rate
