import datetime
import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.errors import CampaignError
from campaigns.management.terminal import find_campaign
from campaigns.models import Campaign
from campaigns.states import CampaignState, PreflightLevel
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
        parser.add_argument("--timezone", help="of --at (default: the campaign's)")
        parser.add_argument(
            "--late-minutes", type=int, help="of --at: not later than so long after that (default: the campaign's)"
        )
        parser.add_argument("--now", action="store_true", help="also one that was planned for a later time")
        parser.add_argument("--json", action="store_true", help="for scripts: one object on standard output")

    def handle(self, *args: Any, campaign: int, check: bool, json: bool, **options: Any) -> None:
        found = find_campaign(campaign)
        if not options["at"] and (options["timezone"] is not None or options["late_minutes"] is not None):
            raise CommandError("--timezone and --late-minutes say more about --at: give that, too.")
        if options["at"] and options["now"]:
            raise CommandError("Give --at or --now, not both.")
        if check:
            self.check_only(found, json)
        elif options["at"]:
            self.schedule(found, json, options)
        else:
            self.launch(found, json, options["now"])

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
            at = at_wall_clock(shown, options["timezone"] or campaign.timezone)
            made = services.schedule(
                campaign, at, late_minutes=options["late_minutes"], timezone=options["timezone"], by=ACTOR
            )
        except CampaignError as exc:
            raise CommandError(str(exc)) from None
        self.tell_when(made, at, as_json)

    def tell_when(self, made: Campaign, at: datetime.datetime, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"id": made.pk, "state": made.state, "scheduled_at": at.isoformat()}))
            return
        self.stdout.write(f"Campaign {made.pk} “{made.name}” will be launched at {in_words(at, made.timezone)}.")

    def launch(self, campaign: Campaign, as_json: bool, now: bool) -> None:
        audience = services.mailable(campaign)
        try:
            launched = (services.launch if now else services.launch_as_planned)(campaign, by=ACTOR)
        except CampaignError as exc:
            raise CommandError(str(exc)) from None
        if launched.state == CampaignState.SCHEDULED and launched.scheduled_at:
            self.tell_when(launched, launched.scheduled_at, as_json)
            return
        if as_json:
            self.stdout.write(json.dumps({"id": launched.pk, "state": launched.state, "total": launched.total}))
            return
        self.stdout.write(
            f"Launched campaign {launched.pk} “{launched.name}” to {audience.words}. "
            f"Watch it: manage.py campaign_status {launched.pk} --watch"
        )
