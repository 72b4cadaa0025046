"""What the verbs share that mail recipients of a campaign once more."""

from campaigns import lifecycle
from campaigns.errors import WrongState
from campaigns.models import Campaign
from campaigns.services.chunk import submit_conductor
from campaigns.states import CampaignState

_LAUNCHED = (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.COMPLETED)


def lock_launched(campaign: Campaign, done: str) -> Campaign:
    """The campaign, held against its own end. Raises WrongState for a draft and a cancelled one."""
    locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
    if locked.state not in _LAUNCHED:
        raise WrongState(locked.name, locked.state, done)
    return locked


def go_on(campaign: Campaign) -> None:
    """completed -> sending; its conductor puts the pending into chunks. A paused one waits for its resume."""
    lifecycle.move_campaign("reopen", campaign.pk, finished_at=None)
    submit_conductor(campaign.pk)
