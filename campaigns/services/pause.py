"""pause, resume, cancel: a campaign under way."""

from django.db import transaction
from django.utils import timezone

from campaigns import lifecycle
from campaigns.errors import WrongState
from campaigns.models import Campaign
from campaigns.services.chunk import submit_chunks, submit_conductor, wake_chunks
from campaigns.services.launch_task import withdraw_launch
from queue_core.services import Actor, audit


def _move(verb: str, done: str, campaign: Campaign, by: Actor | None, **values: object) -> Campaign:
    with transaction.atomic():
        moved = lifecycle.move_campaign(verb, campaign.pk, **values)
        if moved:
            audit.record(Campaign, [campaign.pk], f"{done.capitalize()}.", by=by, name=campaign.name)
    campaign.refresh_from_db()
    if not moved:
        raise WrongState(campaign.name, campaign.state, done)
    return campaign


def pause(campaign: Campaign, *, by: Actor | None = None) -> Campaign:
    """sending -> paused, heard between two messages within a second. What is in flight then is finished."""
    return _move("pause", "paused", campaign, by)


def resume(campaign: Campaign, *, by: Actor | None = None) -> Campaign:
    """paused -> sending. Recipients that are still pending go on being mailed; nobody twice.

    Chunks that slept through the pause wake; those that woke meanwhile are over, and what they left gets new ones.
    """
    with transaction.atomic():
        campaign = _move("resume", "resumed", campaign, by)
        lifecycle.note_pace(campaign.pk)
        wake_chunks(pk=campaign.pk)
        submit_chunks(campaign.pk)
        submit_conductor(campaign.pk)
    return campaign


def cancel(campaign: Campaign, *, by: Actor | None = None) -> Campaign:
    """draft, scheduled, sending, paused -> cancelled, for good. Those not mailed by then stay pending on record."""
    with transaction.atomic():
        cancelled = _move("cancel", "cancelled", campaign, by, finished_at=timezone.now())
        withdraw_launch(campaign.pk)
    return cancelled
