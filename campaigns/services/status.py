"""status: how far a campaign has come, from the running counts."""

import datetime
from typing import Any

from django.utils import timezone

from campaigns import lifecycle
from campaigns.models import Campaign
from campaigns.services.launch_task import has_launch_task
from campaigns.states import OPEN, CampaignState, RecipientState


def status(campaign: Campaign) -> dict[str, Any]:
    """State, recipients per state, `rate_per_minute` (mails, since the launch), `eta` and times (datetime or None)."""
    counts = lifecycle.counts(campaign.pk)
    total = sum(counts.values())
    still_open = sum(counts[state] for state in OPEN)
    rate = _rate(campaign, total - still_open)
    sending = campaign.state == CampaignState.SENDING
    eta = timezone.now() + datetime.timedelta(minutes=still_open / rate) if sending and rate and still_open else None
    return {
        "id": campaign.pk,
        "name": campaign.name,
        "state": campaign.state,
        "summary": headline(campaign.state, counts),
        "total": total,
        **counts,
        "rate_per_minute": round(rate),
        "rate_limit": campaign.rate_per_minute,
        "eta": eta,
        "started_at": campaign.launched_at,
        "finished_at": campaign.finished_at,
        "trouble": campaign.trouble or _lost(campaign),
    }


def _lost(campaign: Campaign) -> str:
    """Somebody may have cancelled in the queue what was to launch it."""
    if campaign.state != CampaignState.SCHEDULED or has_launch_task(campaign.pk):
        return ""
    return "The task that was to launch it is gone from the queue; it gets another one within five minutes."


def headline(state: str, counts: dict[str, int]) -> str:
    """The honest end: "completed, 12 rejected, 3 unconfirmed"."""
    notable = (RecipientState.REJECTED, RecipientState.BOUNCED, RecipientState.UNCONFIRMED)
    return ", ".join([state, *(f"{counts[found]} {found}" for found in notable if counts[found])])


def _rate(campaign: Campaign, done: int) -> float:
    if campaign.launched_at is None:
        return 0.0
    seconds = ((campaign.finished_at or timezone.now()) - campaign.launched_at).total_seconds()
    return done / max(seconds, 0.001) * 60
