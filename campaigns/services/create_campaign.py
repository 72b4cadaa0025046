from typing import Any

from campaigns.models import Campaign


def create_campaign(**values: Any) -> Campaign:
    """A new draft; `values` are fields of the model. It has no recipients yet."""
    campaign = Campaign.objects.create(**values)
    campaign.refresh_from_db()  # the database's own defaults
    return campaign
