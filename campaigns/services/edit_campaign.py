from typing import Any

from django.db import transaction

from campaigns.errors import WrongState
from campaigns.models import Campaign
from campaigns.states import CampaignState


def edit_campaign(campaign: Campaign, **values: Any) -> Campaign:
    """Change fields of a draft. Raises WrongState after the launch, also when that happens at the same moment."""
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if locked.state != CampaignState.DRAFT:
            raise WrongState(locked.name, locked.state, "edited")
        for name, value in values.items():
            setattr(locked, name, value)
        locked.save(update_fields=list(values))
    return locked
