from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from campaigns import services
from campaigns.management.commands.campaign_status import watch_campaign
from campaigns.models import Campaign, CaughtMessage
from campaigns.services.example import find_example, make_example
from campaigns.states import CampaignState, RecipientState

_OUTCOMES = (
    RecipientState.SENT,
    RecipientState.REJECTED,
    RecipientState.BOUNCED,
    RecipientState.SUPPRESSED,
    RecipientState.UNCONFIRMED,
)


class Command(BaseCommand):
    help = "Launch the example campaign, once, and watch it to its end. Later runs only say how it went."

    def handle(self, *args: Any, **options: Any) -> None:
        campaign = find_example()
        if campaign is None:
            self.stdout.write("First run: importing the example audience and launching the example campaign.")
            campaign = make_example()
        if campaign.state == CampaignState.SENDING:
            watch_campaign(campaign, self.stdout)
        campaign.refresh_from_db()
        self.account(campaign)

    def account(self, campaign: Campaign) -> None:
        """Every row of the file, accounted for."""
        status = services.status(campaign)
        self.stdout.write(f"“{campaign.name}” (campaign {campaign.pk}) is {status['summary']}.")
        imported = campaign.imports.order_by("pk").first()
        if imported is None:
            return
        parts = [f"{status[state]} {state}" for state in _OUTCOMES if status[state]]
        parts += [f"{imported.invalid} invalid", f"{imported.duplicates} duplicates"]
        total = sum(status[state] for state in _OUTCOMES) + imported.invalid + imported.duplicates
        sign = "=" if total == imported.records else "of"
        self.stdout.write(f"  {' + '.join(parts)} {sign} {imported.records} records of {imported.filename}")
        if settings.SMTP_IS_CATCHER:
            caught = CaughtMessage.objects.count()
            self.stdout.write(f"  The mail catcher holds {caught} messages: nothing left this machine.")
