from typing import Any

from django.db import transaction

from campaigns.models import Campaign
from campaigns.services.schedule_campaign import check_plan
from queue_core.services import Actor, audit


def create_campaign(*, by: Actor | None = None, **values: Any) -> Campaign:
    """A new draft; `values` are fields of the model. It has no recipients yet.

    With `scheduled_at` it is launched then, once somebody has started it. Raises ScheduleRefused for a time past, and
    for a `timezone` or `late_minutes` that cannot be.
    """
    check_plan(values)
    with transaction.atomic():
        campaign = Campaign.objects.create(**values)
        audit.record(Campaign, [campaign.pk], "Created.", by=by, flag=audit.ADDITION, name=campaign.name)
    campaign.refresh_from_db()  # the database's own defaults
    return campaign
