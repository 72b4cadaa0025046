import hashlib
import json
from datetime import datetime
from typing import Any

from django.db import transaction

from campaigns.errors import EditedMeanwhile, WrongState
from campaigns.models import Campaign
from campaigns.services.schedule_campaign import check_time, schedule, unschedule
from campaigns.states import CampaignState
from queue_core.services import Actor, audit

# What a draft says.
_SAID = (
    *("name", "template_id", "from_email", "reply_to", "transport_id", "rate_per_minute"),
    *("unconfirmed", "track_opens", "track_clicks", "context"),
)


def revision_of(campaign: Campaign) -> str:
    """A short name for what a draft says: another one whenever it says something else."""
    said = json.dumps([getattr(campaign, name) for name in _SAID], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def edit_campaign(
    campaign: Campaign, *, revision: str | None = None, by: Actor | None = None, **values: Any
) -> Campaign:
    """Change fields of a draft; `rate_per_minute` (None: no limit) until it is over, heard by its senders at once.

    `scheduled_at` alone moves a campaign that is scheduled to another time, None makes it a draft again. `revision` is
    that of what somebody was shown (see `revision_of`); raises EditedMeanwhile when it says something else by now.
    Raises WrongState in any other state, also when it changes at the same moment, and ScheduleRefused.
    """
    at = values.get("scheduled_at")
    if campaign.state == CampaignState.SCHEDULED and set(values) == {"scheduled_at"}:
        return unschedule(campaign, by=by) if at is None else _moved(campaign, at, by)
    if at is not None and at != campaign.scheduled_at:
        check_time(at, "scheduled_at")
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        is_over = locked.state in (CampaignState.COMPLETED, CampaignState.CANCELLED)
        if is_over or (locked.state != CampaignState.DRAFT and set(values) != {"rate_per_minute"}):
            raise WrongState(locked.name, locked.state, "edited")
        if revision is not None and revision != revision_of(locked):
            raise EditedMeanwhile(locked.name)
        changed = [name for name, value in values.items() if getattr(locked, name) != value]
        for name in changed:
            setattr(locked, name, values[name])
        if changed:
            locked.save(update_fields=changed)
            audit.record(Campaign, [locked.pk], f"Changed {', '.join(changed)}.", by=by, name=locked.name)
    return locked


def _moved(campaign: Campaign, at: datetime, by: Actor | None) -> Campaign:
    check_time(at, "scheduled_at")
    return schedule(campaign, at, late_minutes=campaign.late_minutes, by=by)
