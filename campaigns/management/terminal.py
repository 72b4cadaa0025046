"""What the commands of this app share: finding a campaign, and showing progress."""

from typing import Any

from django.core.management.base import CommandError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from campaigns.models import Campaign


def find_campaign(campaign_id: int | None) -> Campaign:
    """The campaign of that id, or the latest one when none is named."""
    if campaign_id is None:
        latest = Campaign.objects.order_by("-pk").first()
        if latest is None:
            raise CommandError("There is no campaign yet: make one in the admin or by POST /api/v1/campaigns/.")
        return latest
    # PostgreSQL's bigint ends there; a larger number is nobody's id.
    found = Campaign.objects.filter(pk=campaign_id).first() if 0 < campaign_id < 2**63 else None
    if found is None:
        known = ", ".join(
            f"{pk} “{name}”" for pk, name in Campaign.objects.order_by("-pk").values_list("pk", "name")[:5]
        )
        raise CommandError(f"There is no campaign {campaign_id}. The latest: {known or 'none yet'}.")
    return found


def bar(*columns: Any, **options: Any) -> Progress:
    """A progress bar on the terminal; nothing is drawn when there is none."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *columns,
        **options,
    )
