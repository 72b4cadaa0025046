import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from rich.progress import Progress, TaskID, TextColumn

from campaigns import services
from campaigns.management.terminal import bar, find_campaign
from campaigns.models import Campaign
from campaigns.states import OPEN, CampaignState, RecipientState
from queue_core.services.outcome import plural
from queue_core.texts import grouped

_LOOK_SECONDS = 0.25
_SAY_SECONDS = 5.0


class Command(BaseCommand):
    help = "Show how far a campaign has come (the latest one when none is named)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        named = parser.add_mutually_exclusive_group()
        named.add_argument("campaign", type=int, nargs="?", metavar="ID")
        named.add_argument("--campaign", type=int, dest="id", metavar="ID", help="the same")
        parser.add_argument("--watch", action="store_true", help="stay until it is completed, cancelled or paused")
        parser.add_argument(
            "--links", action="store_true", help="also how often each tracked link was clicked, and by how many people"
        )
        parser.add_argument("--json", action="store_true", help="for scripts; with --watch one object a line")

    def handle(self, *args: Any, campaign: int | None, watch: bool, json: bool, **options: Any) -> None:
        found = find_campaign(campaign if campaign is not None else options["id"])
        if watch and not json:
            watch_campaign(found, self.stdout)
        elif watch:
            self.stream(found)
        if not (watch and json):
            links = {"links": services.campaign_stats(found)["links"]} if options["links"] else {}
            self.show({**services.status(found), **links}, json)

    def stream(self, campaign: Campaign) -> None:
        while True:
            campaign.refresh_from_db()
            now = services.status(campaign)
            self.show(now, True)
            if now["state"] != CampaignState.SENDING:
                return
            time.sleep(1)

    def show(self, status: dict[str, Any], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(status, cls=DjangoJSONEncoder))
            return
        self.stdout.write(f"Campaign {status['id']} “{status['name']}”: {status['summary']}")
        for state in RecipientState:
            if status[state] or state in (RecipientState.SENT, RecipientState.PENDING):
                self.stdout.write(f"  {state.label.lower():<12}{status[state]:>10}")
        self.stdout.write(f"  {'total':<12}{status['total']:>10}")
        for link in status.get("links", []):
            self.stdout.write(f"  {link['url']}: {plural(link['clicks'], 'click')} by {grouped(link['people'])}")
        if status["trouble"]:
            self.stdout.write(f"  {status['trouble']}")


def watch_campaign(campaign: Campaign, out: Any) -> None:
    """A live bar on a terminal, a line every few seconds elsewhere, until the campaign is not sending any more."""
    if not sys.stdout.isatty():
        _watch_in_lines(campaign, out)
        return
    with bar(TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task(campaign.name, total=None, note="")
        while _update(campaign, progress, task):
            time.sleep(_LOOK_SECONDS)


def _done(status: dict[str, Any]) -> int:
    return int(status["total"] - sum(status[state] for state in OPEN))


def _update(campaign: Campaign, progress: Progress, task: TaskID) -> bool:
    campaign.refresh_from_db()
    status = services.status(campaign)
    note = status["trouble"] or f"{status['rate_per_minute'] / 60:.0f}/s"
    progress.update(task, total=status["total"], completed=_done(status), note=note)
    return bool(status["state"] == CampaignState.SENDING)


def _watch_in_lines(campaign: Campaign, out: Any) -> None:
    said_at = 0.0
    while True:
        campaign.refresh_from_db()
        status = services.status(campaign)
        over = status["state"] != CampaignState.SENDING
        if over or time.monotonic() - said_at >= _SAY_SECONDS:
            said_at = time.monotonic()
            out.write(f"{campaign.name}: {_done(status)} of {status['total']} {status['trouble']}".rstrip())
        if over:
            return
        time.sleep(_LOOK_SECONDS)
