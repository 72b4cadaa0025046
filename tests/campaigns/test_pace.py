"""How fast a campaign is sent, and when it will be over: from what was really tried, and only while it advances."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import breaker, lifecycle, services
from campaigns.admin.progress import live
from campaigns.lifecycle import Settled
from campaigns.models import Campaign, CampaignCount, CampaignSample, Recipient
from campaigns.services.conduct import conduct
from campaigns.states import RecipientState
from queue_core.errors import Snooze
from tests.factories import CampaignFactory, UserFactory, add_recipients

pytestmark = pytest.mark.django_db
DASH = "–"


@pytest.fixture
def sending() -> Campaign:
    """Nine people, two of them suppressed."""
    campaign = CampaignFactory.create()
    for n in (7, 8):
        services.suppress(f"r{n}@example.com")
    add_recipients(campaign, 9)
    launched = services.launch(campaign)
    conducted(launched)
    return launched


def conducted(campaign: Campaign) -> None:
    """A turn of the task that watches over it."""
    with pytest.raises(Snooze):
        conduct(campaign.pk)
    campaign.refresh_from_db()


def passed(seconds: float) -> None:
    """As if so much time had passed since all that is on record of its pace."""
    CampaignSample.objects.update(at=F("at") - timedelta(seconds=seconds))


def tried(campaign: Campaign, count: int, state: RecipientState, delay: float = 0.0) -> None:
    """The next pending ones are mailed, or refused."""
    pending = Recipient.objects.filter(campaign=campaign, state="pending").order_by("pk")
    ids = list(pending.values_list("pk", flat=True)[:count])
    token = uuid.uuid4()
    Recipient.objects.filter(pk__in=ids).update(state="sending", lease=token)
    shard = CampaignCount.objects.count() + 100
    CampaignCount.objects.create(campaign=campaign, state="pending", shard=shard, n=-count)
    CampaignCount.objects.create(campaign=campaign, state="sending", shard=shard, n=count)
    assert lifecycle.settle(token, [Settled(pk, state, 451, delay=delay) for pk in ids]) == count


def shown(campaign: Campaign) -> dict[str, str]:
    texts: dict[str, str] = live(services.status(campaign))["texts"]
    return texts


def test_the_rate_is_of_mails_that_were_tried_in_the_last_minutes(sending: Campaign) -> None:
    Campaign.objects.update(launched_at=timezone.now() - timedelta(days=2))
    passed(60)
    tried(sending, 3, RecipientState.SENT)
    sending.refresh_from_db()
    status = services.status(sending)
    assert status["rate_per_minute"] == 3
    assert (status["eta"] - timezone.now()).total_seconds() == pytest.approx(80, abs=5)


def test_what_is_sent_before_the_first_look_counts_too() -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 6)
    services.launch(campaign)
    tried(campaign, 4, RecipientState.SENT)
    passed(60)
    conducted(campaign)
    assert services.status(campaign)["rate_per_minute"] == 4


def test_the_suppressed_are_neither_tried_nor_to_be_mailed(sending: Campaign) -> None:
    passed(20)
    status = services.status(sending)
    assert (status["rate_per_minute"], status["eta"]) == (0, None)
    assert shown(sending) == {"done": "0 of 7 sent", "rate": "0 a minute", "left": DASH, "trouble": ""}


def test_nothing_is_promised_while_the_mail_server_does_not_take_our_mail(sending: Campaign) -> None:
    passed(60)
    tried(sending, 3, RecipientState.SENT)
    lifecycle.note_trouble(sending.pk, "The mail server does not take our mail.")
    sending.refresh_from_db()
    assert services.status(sending)["eta"] is None
    assert shown(sending)["left"] == DASH


def test_the_time_in_which_no_server_took_our_mail_is_no_part_of_the_rate(sending: Campaign) -> None:
    for _ in range(2):
        breaker.trip("smtp-url", "no")
        conducted(sending)
        assert not CampaignSample.objects.exists()
    assert breaker.recover("smtp-url")
    conducted(sending)
    passed(30)
    tried(sending, 2, RecipientState.SENT)
    assert services.status(sending)["rate_per_minute"] == 4


def test_a_limit_that_was_just_lowered_holds_for_what_is_left(sending: Campaign) -> None:
    passed(1)
    tried(sending, 3, RecipientState.SENT)
    services.edit_campaign(sending, rate_per_minute=2)
    sending.refresh_from_db()
    status = services.status(sending)
    assert status["rate_per_minute"] == 2
    assert (status["eta"] - timezone.now()).total_seconds() == pytest.approx(120, abs=5)


def test_when_only_deferred_ones_are_left_it_says_when_the_next_is_due(sending: Campaign) -> None:
    passed(60)
    tried(sending, 5, RecipientState.SENT)
    tried(sending, 2, RecipientState.DEFERRED, delay=3_600)
    Recipient.objects.filter(key="r5@example.com").update(retry_at=timezone.now() + timedelta(minutes=10))
    status = services.status(sending)
    assert (status["eta"], status["rate_per_minute"]) == (None, 7)
    assert (status["next_try_at"] - timezone.now()).total_seconds() == pytest.approx(600, abs=5)
    assert shown(sending)["left"].startswith("the next deferred one is tried in 9 min")
    Recipient.objects.filter(key="r5@example.com").update(retry_at=timezone.now())
    assert shown(sending)["left"] == "the deferred ones are tried again now"


def test_it_is_not_over_before_the_last_deferred_one_is_due(sending: Campaign) -> None:
    passed(60)
    tried(sending, 6, RecipientState.DEFERRED, delay=3_600)
    assert (services.status(sending)["eta"] - timezone.now()).total_seconds() == pytest.approx(3_600, abs=60)


def test_a_pause_is_no_part_of_the_rate(sending: Campaign) -> None:
    passed(60)
    tried(sending, 3, RecipientState.SENT)
    services.pause(sending)
    assert (shown(sending)["rate"], shown(sending)["left"]) == (DASH, DASH)
    conducted(sending)
    assert not CampaignSample.objects.exists()
    services.resume(sending)
    conducted(sending)
    assert lifecycle.pace(sending.pk) == 0
    passed(30)
    tried(sending, 1, RecipientState.SENT)
    assert services.status(sending)["rate_per_minute"] == 2


def test_a_few_samples_are_kept_and_the_last_one_in_any_case(sending: Campaign) -> None:
    for _ in range(60):
        passed(4)
        conducted(sending)
    assert 15 <= CampaignSample.objects.count() <= 37
    passed(3_000)
    tried(sending, 3, RecipientState.SENT)
    assert lifecycle.pace(sending.pk) > 0
    conducted(sending)
    assert CampaignSample.objects.count() == 1


def test_over_it_tells_the_average_and_keeps_no_sample(sending: Campaign) -> None:
    Campaign.objects.update(launched_at=timezone.now() - timedelta(minutes=1))
    tried(sending, 7, RecipientState.SENT)
    conduct(sending.pk)
    sending.refresh_from_db()
    assert not CampaignSample.objects.exists()
    assert (shown(sending)["rate"], shown(sending)["left"]) == ("7 a minute on average", DASH)


def test_an_estimate_of_ages_is_none(sending: Campaign) -> None:
    CampaignSample.objects.update(at=timezone.now() - timedelta(days=36_500))
    tried(sending, 1, RecipientState.SENT)
    assert services.status(sending)["eta"] is None


def test_the_status_costs_as_many_queries_after_weeks_as_at_once(sending: Campaign, client: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        services.status(sending)
    assert len(queries) <= 3
    client.force_login(UserFactory(is_superuser=True))
    assert "0 / 7" in client.get(reverse("admin:campaigns_campaign_changelist")).content.decode()
