"""What becomes of unconfirmed mails by the policy of their campaign, when the conductor finds them."""

import uuid
from collections.abc import Callable
from contextlib import suppress

import pytest

from campaigns import lifecycle, services
from campaigns.lifecycle import Wish
from campaigns.models import Campaign, Recipient
from campaigns.services.conduct import conduct
from campaigns.services.decide_unconfirmed import decide_unconfirmed
from campaigns.states import UnconfirmedPolicy
from queue_core.errors import Snooze
from queue_core.models import Task
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, UserFactory, add_recipients, completed, counts_by_scan

pytestmark = pytest.mark.django_db


def launched(policy: str, count: int = 3) -> Campaign:
    campaign = CampaignFactory.create(unconfirmed=policy)
    add_recipients(campaign, count)
    return services.launch(campaign)


def lose_a_sender(campaign: Campaign) -> None:
    """As if the sender of all of them had been killed in the moment that decides."""
    chunk = campaign.chunks.get()
    token = uuid.uuid4()
    Task.objects.filter(pk=chunk.task_id).update(state="running", lease=token)
    lifecycle.settle_and_lease(token, [], Wish(campaign.pk, 0, chunk.last_id, chunk.task_id, 100))
    Task.objects.filter(pk=chunk.task_id).update(state="failed", lease=None)


def look_after(campaign: Campaign) -> None:
    with suppress(Snooze):
        conduct(campaign.pk)
    campaign.refresh_from_db()


def outcome(campaign: Campaign) -> set[tuple[str, str]]:
    return set(Recipient.objects.filter(campaign=campaign).values_list("state", "detail"))


@pytest.mark.parametrize(
    ("policy", "state", "recipients", "detail"),
    [
        ("ask", "completed", "unconfirmed", "the sender was lost while this one was in flight"),
        ("mark", "completed", "sent", "marked as sent by the campaign's policy"),
        ("resend", "sending", "pending", "sent again by the campaign's policy"),
    ],
)
def test_the_policy_decides(policy: str, state: str, recipients: str, detail: str) -> None:
    campaign = launched(policy)
    lose_a_sender(campaign)
    look_after(campaign)
    assert (campaign.state, outcome(campaign)) == (state, {(recipients, detail)})
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)
    assert (Recipient.objects.filter(sent_at__isnull=False).count() == 3) is (policy == "mark")


@pytest.mark.django_db(transaction=True)
def test_mails_sent_again_arrive_and_the_campaign_ends(smtp: SmtpServer, work: Callable[..., None]) -> None:
    campaign = launched("resend")
    lose_a_sender(campaign)
    for _ in range(4):
        work(wait=False)
    campaign.refresh_from_db()
    assert services.status(campaign)["summary"] == "completed"
    assert len(smtp.bodies) == 3
    assert set(Recipient.objects.values_list("state", "attempts")) == {("sent", 2)}


def test_a_mail_that_kills_its_senders_is_left_to_a_person_after_some_attempts() -> None:
    campaign = launched("resend")
    for attempts in (1, 2):
        lose_a_sender(campaign)
        look_after(campaign)
        assert set(Recipient.objects.values_list("state", "attempts")) == {("pending", attempts)}
    lose_a_sender(campaign)
    look_after(campaign)
    assert campaign.state == "completed"
    assert set(Recipient.objects.values_list("state", "attempts")) == {("unconfirmed", 3)}
    assert services.send_again(campaign).changed == 3


@pytest.mark.parametrize(("policy", "changed"), [("ask", 0), ("mark", 3), ("resend", 0)])
def test_after_a_cancel_nothing_is_sent_again(policy: str, changed: int) -> None:
    campaign = launched(policy)
    lose_a_sender(campaign)
    services.cancel(campaign)
    lifecycle.recover(campaign.pk)
    assert decide_unconfirmed(campaign.pk) == changed
    campaign.refresh_from_db()
    assert campaign.state == "cancelled"


def test_a_pause_lasts_through_the_decision() -> None:
    campaign = launched("resend")
    lose_a_sender(campaign)
    services.pause(campaign)
    look_after(campaign)
    assert campaign.state == "paused"
    assert set(Recipient.objects.values_list("state", flat=True)) == {"pending"}


def test_others_are_left_alone() -> None:
    over = CampaignFactory.create(unconfirmed="resend")
    add_recipients(over, 2)
    completed(services.launch(over), "rejected", 550)
    other = CampaignFactory.create(unconfirmed="ask")
    add_recipients(other, 2)
    completed(services.launch(other), "unconfirmed")
    assert decide_unconfirmed(over.pk) == decide_unconfirmed(other.pk) == 0
    assert {state for state, _ in outcome(over)} == {"rejected"}
    assert {state for state, _ in outcome(other)} == {"unconfirmed"}


def test_the_api_sets_and_refuses_a_policy(client) -> None:
    client.force_login(UserFactory(is_superuser=True))
    campaign = CampaignFactory.create()
    url = f"/api/v1/campaigns/{campaign.pk}/"
    assert client.get(url).json()["unconfirmed"] == "ask"
    for policy in UnconfirmedPolicy.values:
        answer = client.patch(url, {"unconfirmed": policy}, content_type="application/json")
        assert (answer.status_code, answer.json()["unconfirmed"]) == (200, policy)
    for wrong in ("", "always", None, 7, ["ask"], "x" * 10_000):
        answer = client.patch(url, {"unconfirmed": wrong}, content_type="application/json")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["unconfirmed"])
    services.edit_campaign(campaign, unconfirmed="mark")
    add_recipients(campaign, 1)
    services.launch(campaign)
    assert client.patch(url, {"unconfirmed": "ask"}, content_type="application/json").status_code == 409
