from typing import Any

from django.db import transaction

from campaigns.errors import WrongState
from campaigns.models import Campaign
from campaigns.states import CampaignState
from queue_core.services import Actor, audit


def edit_campaign(campaign: Campaign, *, by: Actor | None = None, **values: Any) -> Campaign:
    """Change fields of a draft. Raises WrongState after the launch, also when that happens at the same moment."""
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if locked.state != CampaignState.DRAFT:
            raise WrongState(locked.name, locked.state, "edited")
        changed = [name for name, value in values.items() if getattr(locked, name) != value]
        for name in changed:
            setattr(locked, name, values[name])
        if changed:
            locked.save(update_fields=changed)
            audit.record(Campaign, [locked.pk], f"Changed {', '.join(changed)}.", by=by, name=locked.name)
    return locked
