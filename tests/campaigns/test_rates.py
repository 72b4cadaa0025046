"""Rates of campaigns and transports: token buckets that all workers share."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test import Client

from campaigns import buckets, services
from campaigns.errors import TransportRefused, WrongState
from campaigns.models import Campaign, MailTransport, Recipient
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, UserFactory, add_recipients, counts_by_scan

pytestmark = pytest.mark.django_db(transaction=True)
Work = Callable[..., None]


def full(key: str, tokens: float) -> None:
    """As if the bucket had been filled just now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mail_buckets VALUES (%s, %s, clock_timestamp()) "
            "ON CONFLICT (key) DO UPDATE SET tokens = excluded.tokens, refilled_at = excluded.refilled_at",
            [key, tokens],
        )


def take(campaign: Campaign, transport_key: str, wanted: int) -> buckets.Grant:
    return buckets.take(buckets.rates_of(campaign.pk, transport_key), wanted)


def test_without_a_rate_all_that_are_wanted_may_leave() -> None:
    assert take(CampaignFactory.create(), "smtp-url", 80) == buckets.Grant(80)


def test_buckets_are_locked_in_one_order_also_when_tokens_are_given_back() -> None:
    full("transport-1", 0)  # the first in the table, the second by name
    full("campaign-1", 0)
    given = threading.Thread(target=lambda: (buckets.give_back(buckets.Grant(0, keys=keys), 1), connection.close()))
    keys = ["transport-1", "campaign-1"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT key FROM mail_buckets WHERE key = 'campaign-1' FOR UPDATE")
        given.start()
        deadline, waits = time.monotonic() + 5, False
        while not waits and time.monotonic() < deadline:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
            waits = cursor.fetchone()[0]
        assert waits
        cursor.execute("SELECT key FROM mail_buckets WHERE key = 'transport-1' FOR UPDATE NOWAIT")
    given.join(5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM mail_buckets WHERE tokens = 1")
        assert cursor.fetchone() == (2,)


def test_the_stricter_of_campaign_and_transport_counts_and_both_are_charged() -> None:
    campaign = CampaignFactory.create(rate_per_minute=60)
    transport = services.save_transport(name="relay", host="127.0.0.1", rate_count=3600, rate_seconds=3600)
    full(f"campaign-{campaign.pk}", 5)
    full(transport.breaker_key, 3)
    assert take(campaign, transport.breaker_key, 10).n == 3
    grant = take(campaign, transport.breaker_key, 10)
    assert grant.n == 0
    assert 0 < grant.wait <= 1
    assert take(campaign, "smtp-url", 10).n == 2


def test_a_bucket_holds_five_seconds_at_most_and_takes_back_what_was_not_used() -> None:
    campaign = CampaignFactory.create(rate_per_minute=120)
    full(f"campaign-{campaign.pk}", 1_000)
    grant = take(campaign, "smtp-url", 100)
    assert grant.n == 10
    buckets.give_back(grant, 4)
    assert take(campaign, "smtp-url", 100).n == 4


def test_many_workers_at_once_take_no_more_than_there_is() -> None:
    campaign = CampaignFactory.create(rate_per_minute=600)
    taken: list[int] = []

    def worker() -> None:
        try:
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                taken.append(take(campaign, "smtp-url", 3).n)
        finally:
            connection.close()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - began
    assert 8 <= sum(taken) <= 1 + 10 * elapsed


def test_a_limited_campaign_lets_its_worker_go_and_is_mailed_in_the_end_once(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str]
) -> None:
    campaign = CampaignFactory.create(rate_per_minute=60)
    add_recipients(campaign, 8)
    services.launch(campaign)
    began = time.monotonic()
    work()
    assert time.monotonic() - began < 8
    assert 1 <= len(smtp.bodies) <= 1 + time.monotonic() - began
    assert counts_by_scan(campaign)["sending"] == 0
    assert set(Recipient.objects.values_list("attempts", "state")) <= {(1, "sent"), (0, "pending")}
    services.edit_campaign(campaign, rate_per_minute=None)
    work(wait=False)
    work(wait=False)
    assert state_of(campaign) == "completed"
    assert len(smtp.bodies) == len(set(smtp.recipients)) == 8


def test_a_rate_is_edited_while_a_campaign_is_sent_but_nothing_else_and_not_afterwards() -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 1)
    services.launch(campaign)
    assert services.edit_campaign(campaign, rate_per_minute=90).rate_per_minute == 90
    assert services.status(Campaign.objects.get())["rate_limit"] == 90
    with pytest.raises(WrongState):
        services.edit_campaign(campaign, rate_per_minute=5, name="other")
    services.cancel(campaign)
    with pytest.raises(WrongState):
        services.edit_campaign(campaign, rate_per_minute=5)


@pytest.mark.parametrize(
    ("count", "seconds", "field"),
    [(5, None, "rate_seconds"), (None, 5, "rate_seconds"), (0, 1, "rate_count"), (1, 10**12, "rate_seconds")],
)
def test_half_a_rate_or_an_impossible_one_is_refused(count: int | None, seconds: int | None, field: str) -> None:
    with pytest.raises(TransportRefused) as refused:
        services.save_transport(name="relay", host="127.0.0.1", rate_count=count, rate_seconds=seconds)
    assert field in refused.value.errors
    assert not MailTransport.objects.exists()


def test_the_admin_changes_the_rate_of_a_campaign_under_way(admin_client: Client) -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 1)
    services.launch(campaign)
    url = f"/admin/campaigns/campaign/{campaign.pk}/"
    assert f"{url}rate/" in admin_client.get(f"{url}change/").content.decode()
    assert b"greater than or equal to 1" in admin_client.post(f"{url}rate/", {"rate_per_minute": "0"}).content
    admin_client.post(f"{url}rate/", {"rate_per_minute": "300"})
    assert Campaign.objects.get().rate_per_minute == 300
    assert "300 mails per minute" in admin_client.get(f"{url}change/").content.decode()


def test_whoever_may_only_look_cannot_change_the_rate(client: Client) -> None:
    client.force_login(UserFactory.create(permissions=["view_campaign"]))
    campaign = CampaignFactory.create()
    assert client.post(f"/admin/campaigns/campaign/{campaign.pk}/rate/", {"rate_per_minute": "1"}).status_code == 403


def test_the_api_changes_the_rate_after_the_launch_and_nothing_else(admin_client: Client) -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 1)
    services.launch(campaign)
    url = f"/api/v1/campaigns/{campaign.pk}/"

    def patch(**values: object) -> int:
        return admin_client.patch(url, values, "application/json").status_code

    assert patch(rate_per_minute=120) == 200
    assert admin_client.get(url).json()["rate_per_minute"] == 120
    assert patch(rate_per_minute=None) == 200
    assert patch(rate_per_minute=0) == 400
    assert patch(rate_per_minute=5, name="other") == 409
