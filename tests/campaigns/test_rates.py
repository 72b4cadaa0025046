"""Rates of campaigns and transports: token buckets that all workers share."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test import Client

from campaigns import buckets, lifecycle, services
from campaigns.errors import TransportRefused, WrongState
from campaigns.models import Campaign, CampaignTask, MailTransport, Recipient
from campaigns.services.chunk import submit_chunks
from campaigns.services.deliver import _rate_nap
from queue_core.models import Task
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


def sleeping(campaign: Campaign) -> list[CampaignTask]:
    """Its chunks, all of which sleep for an hour."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET run_at = now() + interval '1 hour', parked = true WHERE state = 'queued'")
    return list(CampaignTask.objects.filter(campaign=campaign, task__parked=True).order_by("first_id"))


def asleep() -> int:
    return Task.objects.filter(name="campaigns.deliver_chunk", parked=True).count()


@pytest.mark.parametrize("size", [1, 500])
def test_a_nap_is_as_long_as_the_line_of_chunks_whatever_their_size(size: int) -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 3_000)
    chunk = CampaignTask.objects.filter(campaign=services.launch(campaign)).first()
    assert chunk is not None
    chunk.size = size
    assert max(_rate_nap(chunk, {"campaign": 0.1}) for _ in range(50)) <= 2 + 6
    assert max(_rate_nap(chunk, {"campaign": 1_000.0}) for _ in range(50)) <= 2 + 6 / (4 if size == 500 else 10)


def test_a_resumed_campaign_goes_on_at_once_with_all_that_are_left(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str], settings: object
) -> None:
    """Of its chunks some woke during the pause and are over, the others sleep."""
    settings.CAMPAIGNS_CHUNK_SIZE = 4  # type: ignore[attr-defined]
    campaign = CampaignFactory.create()
    add_recipients(campaign, 22)
    chunks = sleeping(services.launch(campaign))
    services.pause(campaign)
    awake = [chunks[n].task_id for n in (1, 2, 4)]
    Task.objects.filter(pk__in=awake).update(parked=False, run_at="2020-01-01T00:00Z")
    work()
    assert set(Task.objects.filter(pk__in=awake).values_list("state", flat=True)) == {"succeeded"}
    services.resume(campaign)
    assert asleep() == 0
    ranges = list(CampaignTask.objects.filter(task__state="queued").order_by("first_id"))
    assert [chunk.last_id - chunk.first_id + 1 for chunk in ranges] == [4, 4, 4, 4, 4, 2]
    assert len({chunk.first_id for chunk in ranges}) == 6
    work()
    assert state_of(campaign) == "completed"
    assert len(smtp.bodies) == len(set(smtp.recipients)) == 22


def test_who_is_in_line_is_not_put_in_line_again() -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 5)
    services.launch(campaign)
    assert submit_chunks(campaign.pk) == 0


def test_a_changed_rate_is_heard_by_chunks_that_sleep() -> None:
    relay = services.save_transport(name="relay", host="127.0.0.1", rate_count=1, rate_seconds=60)
    limit = services.limit_domain(domain="example.com", rate_count=1)
    campaign, paused = CampaignFactory.create(rate_per_minute=1), CampaignFactory.create()
    for one in (campaign, paused):
        add_recipients(one, 2)
        services.launch(one)
    services.pause(paused)

    for change in (
        lambda: services.edit_campaign(campaign, rate_per_minute=None),
        lambda: services.save_transport(relay, rate_count=None, rate_seconds=None),
        lambda: services.edit_domain_limit(limit, rate_count=500),
        lambda: services.delete_domain_limit(limit),
    ):
        sleeping(campaign)
        assert asleep() == 2
        change()
        assert list(Task.objects.filter(name="campaigns.deliver_chunk", parked=True)) == [
            chunk.task for chunk in CampaignTask.objects.filter(campaign=paused)
        ]
    sleeping(campaign)
    services.save_transport(relay, name="another")
    assert asleep() == 2
    assert lifecycle.counts(campaign.pk)["pending"] == 2
