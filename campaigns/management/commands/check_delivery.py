import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.errors import CampaignError
from campaigns.management.terminal import find_campaign
from campaigns.models import Campaign, Recipient
from campaigns.states import RecipientState
from queue_core.management.verbs import ACTOR

_SHOWN = 50


class Command(BaseCommand):
    help = (
        "List the mails of a campaign of which nobody knows whether they arrived, because their sender was lost at "
        "that moment; or decide about all of them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("campaign", type=int, metavar="CAMPAIGN")
        decision = parser.add_mutually_exclusive_group()
        decision.add_argument("--mark-sent", action="store_true", help="take them for sent")
        decision.add_argument("--resend", action="store_true", help="mail them again; some may get it twice")
        parser.add_argument("--json", action="store_true", help="for scripts: one object on standard output")

    def handle(self, *args: Any, campaign: int, mark_sent: bool, resend: bool, json: bool, **options: Any) -> None:
        found = find_campaign(campaign)
        if mark_sent or resend:
            self.decide(found, resend, json)
        else:
            self.show(found, json)

    def decide(self, campaign: Campaign, resend: bool, as_json: bool) -> None:
        try:
            verb = services.send_again if resend else services.mark_sent
            outcome = verb(campaign, by=ACTOR)
        except CampaignError as exc:
            raise CommandError(str(exc)) from None
        sentence = outcome.sentence("Sent again" if resend else "Marked as sent", "recipient")
        self.stdout.write(json.dumps({"changed": outcome.changed}) if as_json else sentence)

    def show(self, campaign: Campaign, as_json: bool) -> None:
        total = services.status(campaign)[RecipientState.UNCONFIRMED]
        rows = Recipient.objects.filter(campaign=campaign, state=RecipientState.UNCONFIRMED).order_by("-id")
        shown = list(rows.values("id", "email", "detail")[:_SHOWN])
        if as_json:
            self.stdout.write(json.dumps({"unconfirmed": total, "recipients": shown}))
            return
        self.stdout.write(f"Campaign {campaign.pk} “{campaign.name}”: {total} unconfirmed.")
        for row in shown:
            self.stdout.write(f"  {row['id']}  {row['email']}  {row['detail']}")
        if total > len(shown):
            self.stdout.write(f"  … and {total - len(shown)} more")
        if total:
            self.stdout.write("Decide with --mark-sent (they have it) or --resend (they may get it twice).")
