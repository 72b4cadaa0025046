"""start, launch_as_planned: set a campaign going, whatever that means in its state."""

from campaigns.errors import WrongState
from campaigns.models import Campaign
from campaigns.services.launch import launch
from campaigns.services.pause import resume
from campaigns.services.schedule_campaign import schedule
from campaigns.states import CampaignState
from queue_core.services import Actor
from queue_core.services.clock import database_time


def start(campaign: Campaign, *, by: Actor | None = None) -> Campaign:
    """Launch a draft, resume a paused one. Raises what those do."""
    if campaign.state == CampaignState.PAUSED:
        return resume(campaign, by=by)
    return launch_as_planned(campaign, by=by)


def launch_as_planned(campaign: Campaign, *, by: Actor | None = None) -> Campaign:
    """Launch a draft now, or schedule it for the time that was planned with it. Raises what those do.

    One that is scheduled already is a WrongState: asked for twice, it must not leave early.
    """
    if campaign.state == CampaignState.SCHEDULED:
        raise WrongState(campaign.name, campaign.state, "launched before its time: unschedule it first")
    planned = campaign.scheduled_at if campaign.state == CampaignState.DRAFT else None
    if planned is not None and planned > database_time():
        return schedule(campaign, planned, by=by)
    return launch(campaign, by=by)
