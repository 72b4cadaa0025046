"""A campaign sent by real worker processes to a real mail server, while they are killed and Valkey is emptied."""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from aiosmtpd.controller import Controller
from django.conf import settings

from campaigns import services
from campaigns.models import Campaign, Recipient
from campaigns.smtp import Transport
from campaigns.states import CampaignState
from tests.e2e.conftest import Manage, wait_until
from tests.factories import CampaignFactory, add_recipients, counts_by_scan

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


class Receiver:
    """Counts what a mail server accepted, address by address; takes `seconds` for each."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.accepted: Counter[str] = Counter()
        self.lock = threading.Lock()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        with self.lock:
            self.accepted.update(envelope.rcpt_tos)
        await asyncio.sleep(self.seconds)
        return "250 OK"


@pytest.fixture
def receiver(free_port: int) -> Iterator[tuple[Receiver, str]]:
    """A receiver and its smtp:// URL."""
    handler = Receiver(0.002)
    controller = Controller(handler, hostname="127.0.0.1", port=free_port)
    controller.start()
    yield handler, f"smtp://127.0.0.1:{free_port}"
    controller.stop()


def launched(count: int) -> Campaign:
    campaign = CampaignFactory.create()
    add_recipients(campaign, count)
    return services.launch(campaign)


def is_over(campaign: Campaign) -> Callable[[], bool]:
    return lambda: Campaign.objects.filter(pk=campaign.pk, state=CampaignState.COMPLETED).exists()


def test_kill_9_of_senders_mails_nobody_twice_and_loses_nobody(manage: Manage, receiver: tuple[Receiver, str]) -> None:
    handler, url = receiver
    campaign = launched(1_500)
    pool = manage.start("worker", "--processes", "2", SMTP_URL=url, QUICK_LEASE="1")
    manage.start("scheduler", QUICK_LEASE="1")
    killed = 0
    while killed < 4 and not is_over(campaign)():
        sent = sum(handler.accepted.values())
        assert wait_until(lambda sent=sent: sum(handler.accepted.values()) >= sent + 150 or is_over(campaign)(), 60)
        for pid in manage.children(pool)[killed % 2 :][:1]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
    assert wait_until(is_over(campaign), 90)
    found = {state: n for state, n in counts_by_scan(campaign).items() if n}
    assert killed >= 2
    assert max(handler.accepted.values()) == 1
    assert set(found) <= {"sent", "unconfirmed"}
    assert sum(found.values()) == 1_500
    # Groups of 20, one for each connection of a process.
    assert found.get("unconfirmed", 0) <= 20 * Transport.from_url(url).connections * killed
    sent = set(Recipient.objects.filter(state="sent").values_list("email", flat=True))
    unconfirmed = set(Recipient.objects.filter(state="unconfirmed").values_list("email", flat=True))
    assert sent <= set(handler.accepted)
    assert set(handler.accepted) - sent <= unconfirmed
    assert services.status(campaign)["unconfirmed"] == len(unconfirmed)


def test_flushing_valkey_in_mid_campaign_needs_no_help(manage: Manage, receiver: tuple[Receiver, str]) -> None:
    handler, url = receiver
    campaign = launched(1_000)
    manage.start("worker", "--processes", "2", SMTP_URL=url)
    manage.start("scheduler")
    client = redis.Redis.from_url(settings.REDIS_URL)
    for goal in (100, 300, 600):
        assert wait_until(lambda goal=goal: sum(handler.accepted.values()) >= goal, 60)
        client.flushall()
    client.close()
    assert wait_until(is_over(campaign), 60)
    assert counts_by_scan(campaign)["sent"] == 1_000
    assert max(handler.accepted.values()) == 1


def test_pause_is_obeyed_by_other_processes_within_a_second(manage: Manage, receiver: tuple[Receiver, str]) -> None:
    handler, url = receiver
    campaign = launched(2_000)
    manage.start("worker", "--processes", "2", SMTP_URL=url)
    assert wait_until(lambda: sum(handler.accepted.values()) >= 50, 60)
    services.pause(campaign)
    time.sleep(1.0)
    after = sum(handler.accepted.values())
    time.sleep(1.0)
    assert sum(handler.accepted.values()) == after < 2_000
    services.resume(campaign)
    assert wait_until(is_over(campaign), 90)
    assert counts_by_scan(campaign)["sent"] == 2_000
    assert max(handler.accepted.values()) == 1
