from typing import Any

from campaigns.models import Campaign
from campaigns.services.launch import launch
from campaigns.services.pause import resume
from campaigns.states import CampaignState


def start(campaign: Campaign, *, by: Any = None) -> Campaign:
    """Set a campaign going: launches a draft, resumes a paused one. Raises what those do."""
    return resume(campaign) if campaign.state == CampaignState.PAUSED else launch(campaign, by=by)
