import hashlib
import json
from typing import Any

from django.db import transaction

from campaigns.errors import EditedMeanwhile, WrongState
from campaigns.models import Campaign
from campaigns.services.chunk import wake_chunks
from campaigns.services.schedule_campaign import PLAN, check_plan, schedule, unschedule
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

    `scheduled_at`, `timezone` and `late_minutes` also of a campaign that is scheduled, which no time makes a draft
    again. `revision` is that of what somebody was shown (see `revision_of`); raises EditedMeanwhile when it says
    something else by now. Raises WrongState in any other state, also when it changes at the same moment, and
    ScheduleRefused.
    """
    is_same = values.get("scheduled_at") == campaign.scheduled_at
    asked = {name: value for name, value in values.items() if not (is_same and name == "scheduled_at")}
    check_plan({"timezone": campaign.timezone, **asked})
    if campaign.state == CampaignState.SCHEDULED and values and set(values) <= PLAN:
        return _replanned(campaign, values, by)
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
            if "rate_per_minute" in changed:
                wake_chunks(pk=locked.pk)
            audit.record(Campaign, [locked.pk], f"Changed {', '.join(changed)}.", by=by, name=locked.name)
    return locked


def _replanned(campaign: Campaign, plan: dict[str, Any], by: Actor | None) -> Campaign:
    at = plan.get("scheduled_at", campaign.scheduled_at)
    if at is None:
        return unschedule(campaign, by=by)
    return schedule(campaign, at, late_minutes=plan.get("late_minutes"), timezone=plan.get("timezone"), by=by)
