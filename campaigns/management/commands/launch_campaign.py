from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.errors import CampaignError
from campaigns.management.terminal import find_campaign
from queue_core.management.verbs import ACTOR


class Command(BaseCommand):
    help = "Launch a campaign: pin its template version and audience, and put its mails in line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("campaign", type=int, metavar="ID")

    def handle(self, *args: Any, campaign: int, **options: Any) -> None:
        try:
            launched = services.launch(find_campaign(campaign), by=ACTOR)
        except CampaignError as exc:
            raise CommandError(str(exc)) from None
        self.stdout.write(
            f"Launched campaign {launched.pk} “{launched.name}” to {launched.total} recipients. "
            f"Watch it: manage.py campaign_status --campaign {launched.pk} --watch"
        )
