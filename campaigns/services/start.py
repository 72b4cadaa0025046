from campaigns.models import Campaign
from campaigns.services.launch import launch
from campaigns.services.pause import resume
from campaigns.states import CampaignState
from queue_core.services import Actor


def start(campaign: Campaign, *, by: Actor | None = None) -> Campaign:
    """Set a campaign going: launches a draft, resumes a paused one. Raises what those do."""
    return resume(campaign, by=by) if campaign.state == CampaignState.PAUSED else launch(campaign, by=by)
