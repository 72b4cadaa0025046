import datetime
import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.errors import CampaignError
from campaigns.management.terminal import find_campaign
from campaigns.models import Campaign
from campaigns.states import PreflightLevel
from campaigns.wall_clock import at_wall_clock, in_words
from queue_core.management.verbs import ACTOR
from queue_core.services.outcome import plural

_MARKS = {
    PreflightLevel.BLOCK: "✗",
    PreflightLevel.WARN: "!",
    PreflightLevel.NOTE: "·",
    PreflightLevel.OK: "✓",
}


class Command(BaseCommand):
    help = "Launch a campaign: pin its template version and audience, and put its mails in line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("campaign", type=int, metavar="ID")
        parser.add_argument(
            "--check", action="store_true", help="only go through the checklist; the exit code is 1 when it blocks"
        )
        parser.add_argument(
            "--at", metavar="TIME", help="launch it by itself then: 2026-12-24T18:00, with or without +01:00"
        )
        parser.add_argument("--timezone", default=settings.TIME_ZONE, help="of --at (default: %(default)s)")
        parser.add_argument("--late-minutes", type=int, default=60, help="of --at: not later than so long after that")
        parser.add_argument("--json", action="store_true", help="for scripts: one object on standard output")

    def handle(self, *args: Any, campaign: int, check: bool, json: bool, **options: Any) -> None:
        found = find_campaign(campaign)
        if check:
            self.check_only(found, json)
        elif options["at"]:
            self.schedule(found, json, options)
        else:
            self.launch(found, json)

    def check_only(self, campaign: Campaign, as_json: bool) -> None:
        items = services.preflight(campaign)
        blocking = sum(item.level == PreflightLevel.BLOCK for item in items)
        if as_json:
            self.stdout.write(json.dumps({"ready": not blocking, "items": [asdict(item) for item in items]}))
        else:
            for item in items:
                self.stdout.write(f"{_MARKS[item.level]} {item.message}")
        if blocking:
            blocks = "blocks" if blocking == 1 else "block"
            raise CommandError(f"{plural(blocking, 'thing')} {blocks} the launch of campaign {campaign.pk}.")

    def schedule(self, campaign: Campaign, as_json: bool, options: dict[str, Any]) -> None:
        try:
            shown = datetime.datetime.fromisoformat(options["at"])
        except ValueError:
            raise CommandError(f"--at takes a time such as 2026-12-24T18:00, not {options['at'][:60]!r}.") from None
        try:
            at = at_wall_clock(shown, options["timezone"])
            made = services.schedule(
                campaign, at, late_minutes=options["late_minutes"], timezone=options["timezone"], by=ACTOR
            )
        except CampaignError as exc:
            raise CommandError(str(exc)) from None
        if as_json:
            self.stdout.write(json.dumps({"id": made.pk, "state": made.state, "scheduled_at": at.isoformat()}))
            return
        self.stdout.write(f"Campaign {made.pk} “{made.name}” will be launched at {in_words(at, made.timezone)}.")

    def launch(self, campaign: Campaign, as_json: bool) -> None:
        audience = services.mailable(campaign)
        try:
            launched = services.launch(campaign, by=ACTOR)
        except CampaignError as exc:
            raise CommandError(str(exc)) from None
        if as_json:
            self.stdout.write(json.dumps({"id": launched.pk, "state": launched.state, "total": launched.total}))
            return
        self.stdout.write(
            f"Launched campaign {launched.pk} “{launched.name}” to {audience.words}. "
            f"Watch it: manage.py campaign_status --campaign {launched.pk} --watch"
        )
