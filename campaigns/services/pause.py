"""pause, resume, cancel: a campaign under way."""

from django.db import transaction
from django.utils import timezone

from campaigns import lifecycle
from campaigns.errors import WrongState
from campaigns.models import Campaign
from campaigns.services.chunk import submit_conductor


def _move(verb: str, done: str, campaign: Campaign, **values: object) -> Campaign:
    if not lifecycle.move_campaign(verb, campaign.pk, **values):
        campaign.refresh_from_db()
        raise WrongState(campaign.name, campaign.state, done)
    campaign.refresh_from_db()
    return campaign


def pause(campaign: Campaign) -> Campaign:
    """sending -> paused, heard between two messages within a second. What is in flight then is finished."""
    return _move("pause", "paused", campaign)


def resume(campaign: Campaign) -> Campaign:
    """paused -> sending. Recipients that are still pending go on being mailed; nobody twice."""
    with transaction.atomic():
        campaign = _move("resume", "resumed", campaign)
        submit_conductor(campaign.pk)
    return campaign


def cancel(campaign: Campaign) -> Campaign:
    """draft, sending, paused -> cancelled, for good. Recipients not mailed by then stay pending on record."""
    return _move("cancel", "cancelled", campaign, finished_at=timezone.now())
