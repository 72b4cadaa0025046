from typing import Any

from django.db import transaction

from campaigns.errors import WrongState
from campaigns.models import Campaign
from campaigns.states import CampaignState
from queue_core.services import Actor, audit


def edit_campaign(campaign: Campaign, *, by: Actor | None = None, **values: Any) -> Campaign:
    """Change fields of a draft; `rate_per_minute` (None: no limit) until it is over, heard by its senders at once.

    Raises WrongState after that, also when it happens at the same moment.
    """
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        is_over = locked.state in (CampaignState.COMPLETED, CampaignState.CANCELLED)
        if is_over or (locked.state != CampaignState.DRAFT and set(values) != {"rate_per_minute"}):
            raise WrongState(locked.name, locked.state, "edited")
        changed = [name for name, value in values.items() if getattr(locked, name) != value]
        for name in changed:
            setattr(locked, name, values[name])
        if changed:
            locked.save(update_fields=changed)
            audit.record(Campaign, [locked.pk], f"Changed {', '.join(changed)}.", by=by, name=locked.name)
    return locked
