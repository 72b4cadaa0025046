"""Campaigns under kills, and what must be true of each when it is over."""

import random
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connection

from campaigns import conf, lifecycle, services
from campaigns.models import Campaign, Recipient
from campaigns.smtp import Transport
from campaigns.states import CampaignState
from tests.chaos.fleet import Fleet
from tests.chaos.nemesis import Nemesis
from tests.factories import CampaignFactory, add_recipients, counts_by_scan

# Seconds for one campaign: leases of killed senders have to run out before the rest is sent.
_PATIENCE = 300.0


class MailRun:
    def __init__(self, fleet: Fleet, rng: random.Random, receiver: Any, *, kills: int, recipients: int) -> None:
        self.fleet, self.rng, self.receiver = fleet, rng, receiver
        self.kills, self.recipients = kills, recipients
        self.violations: list[str] = []
        self.nemesis = Nemesis(fleet, random.Random(rng.random()), 30.0, settings.REDIS_URL)

    def run(self) -> Iterator[str]:
        """A line for each campaign, until there were as many kills as asked for."""
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        self.fleet.run("migrate", "--verbosity", "0")
        self.fleet.supervise()
        while len(self.nemesis.kills) < self.kills:
            yield self._campaign()

    def _campaign(self) -> str:
        self.receiver.taken.clear()
        campaign = CampaignFactory.create()
        add_recipients(campaign, self.recipients)
        started, before = time.monotonic(), len(self.nemesis.kills)
        services.launch(campaign)
        while not self._is_over(campaign) and time.monotonic() - started < _PATIENCE:
            self._torment()
        killed = len(self.nemesis.kills) - before
        found = self._check(campaign, killed)
        self.violations += found
        counts = {state: n for state, n in lifecycle.counts(campaign.pk).items() if n}
        seconds = time.monotonic() - started
        told = ", ".join(f"{n} {state}" for state, n in counts.items())
        return "\n".join([f"campaign {campaign.pk}: {killed} kills, {told}, {seconds:.0f} s", *found])

    def _torment(self) -> None:
        """Wait until some more mails have arrived, then kill one of those who send."""
        if len(self.nemesis.kills) >= self.kills:
            self.nemesis.wait(0.2)
            return
        goal = self.receiver.taken.total() + self.rng.randint(1, max(2, self.recipients // 12))
        deadline = time.monotonic() + 5.0
        while self.receiver.taken.total() < goal and time.monotonic() < deadline:
            self.nemesis.wait(0.02)
        if self.receiver.taken.total() >= goal:
            self.nemesis.kill_worker()

    def _is_over(self, campaign: Campaign) -> bool:
        return Campaign.objects.filter(pk=campaign.pk, state=CampaignState.COMPLETED).exists()

    def _check(self, campaign: Campaign, killed: int) -> list[str]:
        """What is wrong, in sentences."""
        people = Recipient.objects.filter(campaign=campaign)
        by_state: dict[str, set[str]] = {}
        for email, state in people.values_list("email", "state"):
            by_state.setdefault(state, set()).add(email)
        sent, unconfirmed = by_state.pop("sent", set()), by_state.pop("unconfirmed", set())
        taken = set(self.receiver.taken)
        twice = [email for email, n in self.receiver.taken.items() if n > 1]
        most = conf.get("GROUP_SIZE") * Transport.from_url(settings.SMTP_URL).connections * killed
        broken = {
            f"{len(twice)} mailed twice: {twice[:5]}": bool(twice),
            f"not over within {_PATIENCE:.0f} s": not self._is_over(campaign),
            f"{len(sent - taken)} called sent that never arrived": bool(sent - taken),
            f"{len(taken - sent - unconfirmed)} arrived and are neither sent nor unconfirmed": bool(
                taken - sent - unconfirmed
            ),
            f"neither sent nor unconfirmed: { {state: len(who) for state, who in by_state.items()} }": bool(by_state),
            f"{len(unconfirmed)} unconfirmed after {killed} kills, {most} at most": len(unconfirmed) > most,
            f"{len(sent) + len(unconfirmed)} of {self.recipients} on record": len(sent) + len(unconfirmed)
            != self.recipients,
            "the counts are not those of the rows": counts_by_scan(campaign) != lifecycle.counts(campaign.pk),
        }
        return [text for text, is_broken in broken.items() if is_broken]
