import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from campaigns import mailer
from campaigns.models import Campaign
from campaigns.smtp import Transport
from queue_core import broker, conf, drain
from queue_core.ticker import tick
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import UserFactory


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmtpServer]:
    """A mail server that does as told; campaigns send to it."""
    with SmtpServer() as server:
        monkeypatch.setattr(mailer, "transport", lambda: Transport("127.0.0.1", server.port, timeout=3, connections=1))
        mailer.close()
        yield server
        mailer.close()


@pytest.fixture
def work(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run all tasks that are due, in this process; with `wait=False` the due times are moved to now before."""
    monkeypatch.setattr(broker, "ring", lambda queue: None)
    tick(if_older_than=0)  # as a scheduler does: the worker stands in for none
    station = drain.Station(conf.queues())
    station.open()

    def run(*, wait: bool = True) -> None:
        if not wait:
            make_due()
        station.serve(30, burst=True)

    yield run
    station.close()


@pytest.fixture
def api(db: None) -> APIClient:
    """May do everything."""
    client = APIClient()
    client.force_authenticate(UserFactory(is_superuser=True))
    return client


def make_due() -> None:
    """As if all waits were over."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET run_at = now() WHERE parked")
        cursor.execute("UPDATE email_recipients SET retry_at = now() WHERE retry_at IS NOT NULL")
    while not tick(if_older_than=0):
        time.sleep(0.01)  # a worker's keeper has the turn at this moment


@pytest.fixture
def state_of() -> Callable[[Campaign], str]:
    def read(campaign: Campaign) -> Any:
        campaign.refresh_from_db()
        return campaign.state

    return read
