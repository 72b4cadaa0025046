"""What is mailed once more: the failed ones, and those of whom nobody knows."""

import threading
import uuid
from collections.abc import Callable
from importlib import import_module
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from campaigns import lifecycle, mailer, services
from campaigns.errors import WrongState
from campaigns.models import Campaign, Recipient
from queue_core.models import Task
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, UserFactory, add_recipients, completed, counts_by_scan

pytestmark = pytest.mark.django_db


def over(state: str, count: int = 3, code: int | None = None) -> Campaign:
    campaign = CampaignFactory.create()
    add_recipients(campaign, count)
    return completed(services.launch(campaign), state, code)


@pytest.mark.django_db(transaction=True)
def test_failed_ones_are_mailed_again_and_the_campaign_ends_again(
    smtp: SmtpServer, work: Callable[..., None], state_of: Callable[[Campaign], str], settings: object
) -> None:
    settings.CAMPAIGNS_DEFER_SECONDS = []  # type: ignore[attr-defined]
    campaign = CampaignFactory.create()
    add_recipients(campaign, 4)
    smtp.script(rcpt=["250 ok", "450 4.2.0 later", "550 5.1.1 no such user"])
    services.launch(campaign)
    work()
    work(wait=False)
    assert state_of(campaign) == "completed"
    assert services.status(campaign)["summary"] == "completed, 2 rejected"
    outcome = services.retry_failed(campaign)
    assert (outcome.changed, outcome.skipped, state_of(campaign)) == (1, 1, "sending")
    work()
    work(wait=False)
    assert state_of(campaign) == "completed"
    assert services.status(campaign)["summary"] == "completed, 1 rejected"
    assert [address.partition("@")[0] for address in smtp.recipients] == ["r0", "r1", "r2", "r3", "r1"]
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


@pytest.mark.django_db(transaction=True)
def test_mails_that_were_too_large_for_the_server_are_sent_once_it_takes_them(
    smtp: SmtpServer, work: Callable[..., None], state_of: Callable[[Campaign], str]
) -> None:
    smtp.extensions = ("PIPELINING", "SIZE 500")
    add_recipients(campaign := CampaignFactory.create(), 3)
    services.launch(campaign)
    work()
    assert services.status(campaign)["rejected"] == 3
    assert state_of(campaign) == "completed"
    smtp.extensions = ("PIPELINING", "SIZE 50000")
    mailer.close()
    assert services.retry_failed(campaign).changed == 3
    work(wait=False)
    assert services.status(campaign)["sent"] == 3


def test_those_refused_for_good_are_retried_on_request_unless_they_are_suppressed() -> None:
    campaign = over("rejected", 3, 552)
    services.suppress("r0@example.com")
    assert services.retry_failed(campaign).changed == 0
    assert campaign.state == "completed"
    outcome = services.retry_failed(campaign, hard=True)
    assert (outcome.changed, outcome.skipped) == (2, 1)
    assert Recipient.objects.filter(state="pending", attempts=0).count() == 2
    assert services.retry_failed(campaign, hard=True).changed == 0


@pytest.mark.django_db(transaction=True)
def test_unconfirmed_ones_that_are_sent_again_are_mailed_once_more(
    smtp: SmtpServer, work: Callable[..., None], state_of: Callable[[Campaign], str]
) -> None:
    campaign = over("unconfirmed")
    first = Recipient.objects.order_by("pk")[0]
    outcome = services.send_again(campaign, [first.pk, first.pk, 10**15])
    assert (outcome.changed, outcome.skipped) == (1, 1)
    work()
    work(wait=False)
    assert state_of(campaign) == "completed"
    assert smtp.recipients == [first.email]
    assert services.status(campaign)["summary"] == "completed, 2 unconfirmed"
    assert services.mark_sent(campaign).changed == 2
    assert services.status(campaign)["summary"] == "completed"
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


def test_a_sender_that_comes_back_changes_nothing_that_a_person_decided() -> None:
    campaign = over("unconfirmed", 1)
    row = Recipient.objects.get()
    lease = row.lease
    assert lease is not None
    services.send_again(campaign)
    assert lifecycle.settle(lease, [lifecycle.Settled(row.pk, "sent", 250)]) == 0
    row.refresh_from_db()
    assert (row.state, row.lease) == ("pending", None)


def test_many_are_retried_in_slices_and_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("campaigns.services.retry_failed"), "SLICE", 2)
    campaign = CampaignFactory.create()
    add_recipients(campaign, 5)
    completed(services.launch(campaign), "rejected", 451)
    assert services.retry_failed(campaign).changed == 5
    assert counts_by_scan(campaign)["pending"] == services.status(campaign)["pending"] == 5
    assert campaign.state == "sending"


@pytest.mark.parametrize("verb", [services.retry_failed, services.send_again])
def test_drafts_and_cancelled_campaigns_mail_nobody_again(verb: Callable[..., object]) -> None:
    draft = CampaignFactory.create()
    add_recipients(draft, 1)
    with pytest.raises(WrongState, match="is draft"):
        verb(draft)
    Campaign.objects.filter(pk=draft.pk).update(state="cancelled")
    Recipient.objects.update(state="unconfirmed", lease=uuid.uuid4())
    with pytest.raises(WrongState, match="is cancelled"):
        verb(draft)
    assert not Task.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_end_that_comes_at_the_same_moment_leaves_nobody_behind() -> None:
    """Complete waits for the verb, and then sees the recipients that it opened."""
    campaign = over("unconfirmed")
    Campaign.objects.filter(pk=campaign.pk).update(state="sending")
    ended: list[bool] = []

    def end() -> None:
        ended.append(lifecycle.complete(campaign.pk))
        connections.close_all()

    thread = threading.Thread(target=end)
    with transaction.atomic():
        services.send_again(campaign)
        thread.start()
        thread.join(0.5)
    thread.join(10)
    assert ended == [False]


def command(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_the_unconfirmed_and_decides_about_them() -> None:
    campaign = over("unconfirmed")
    shown = command("check_delivery", str(campaign.pk))
    assert "3 unconfirmed" in shown
    assert "r2@example.com" in shown
    assert '"unconfirmed": 3' in command("check_delivery", str(campaign.pk), "--json")
    assert command("check_delivery", str(campaign.pk), "--mark-sent") == "Marked as sent 3 recipients.\n"
    assert command("check_delivery", str(campaign.pk), "--resend", "--json") == '{"changed": 0}\n'
    Campaign.objects.update(state="cancelled")
    with pytest.raises(CommandError, match="is cancelled"):
        command("check_delivery", str(campaign.pk), "--resend")


def test_retrying_says_beforehand_who_would_be_mailed_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = over("rejected", 4, 550)
    client.force_login(UserFactory(is_superuser=True))
    url = reverse("admin:campaigns_campaign_retry-failed", args=[campaign.pk])
    services.suppress("r0@example.com")
    shown = client.get(url).context
    assert "nobody is mailed again unless you include them" in shown["question"]
    assert [number for _, number in shown["facts"]] == ["0", "3", "1"]
    Recipient.objects.filter(key="r1@example.com").update(code=451)
    assert client.get(url).context["question"] == "Mail 1 rejected recipient again?"
    told = "Retried 1 recipient; 3 were refused for good or suppressed."
    assert told in client.post(url, follow=True).content.decode()
    assert "Retried 2 recipients; 1 was suppressed." in client.post(url, {"hard": "on"}, follow=True).content.decode()
    shown = client.get(url).context
    assert "is suppressed by now" in shown["question"]
    assert not shown["is_any"]

    monkeypatch.setattr("campaigns.lifecycle.reopen._COUNTED", 1)
    Recipient.objects.update(state="rejected", code=451)
    assert client.get(url).context["question"] == "Mail 2 or more rejected recipients again?"


@pytest.mark.parametrize(("name", "then"), [("mark-sent", "sent"), ("send-again", "pending")])
def test_one_unconfirmed_recipient_is_decided_about_on_their_page(name: str, then: str, client: Client) -> None:
    over("unconfirmed")
    person, other, _ = Recipient.objects.order_by("pk")
    client.force_login(UserFactory(permissions=["view_recipient", "launch_campaign"]))
    detail = reverse("admin:campaigns_recipient_change", args=[person.pk])
    url = reverse(f"admin:campaigns_recipient_{name}", args=[person.pk])
    assert url in client.get(detail).content.decode()
    assert person.email in client.get(url).context["question"]
    assert "1 recipient." in client.post(url, follow=True).content.decode()
    person.refresh_from_db()
    other.refresh_from_db()
    assert (person.state, other.state) == (then, "unconfirmed")
    assert url not in client.get(detail).content.decode()
    assert "1 was not unconfirmed" in client.post(url, follow=True).content.decode()
    client.force_login(UserFactory(permissions=["view_recipient"]))
    assert reverse(f"admin:campaigns_recipient_{name}", args=[other.pk]) not in client.get(detail).content.decode()
    assert client.post(reverse(f"admin:campaigns_recipient_{name}", args=[other.pk])).status_code == 403


@pytest.mark.parametrize(
    ("name", "state", "asked", "then"),
    [
        ("retry-failed", "rejected", "Mail 3 rejected recipients again?", "pending"),
        ("mark-sent", "unconfirmed", "Take 3 unconfirmed for sent", "sent"),
        ("send-again", "unconfirmed", "They may get it twice", "pending"),
    ],
)
def test_the_admin_asks_and_does_it(name: str, state: str, asked: str, then: str, client: object) -> None:
    campaign = over(state)
    client.force_login(UserFactory(is_superuser=True))  # type: ignore[attr-defined]
    url = reverse(f"admin:campaigns_campaign_{name}", args=[campaign.pk])
    detail = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    text = client.get(detail).content.decode()  # type: ignore[attr-defined]
    assert url in text
    assert f"completed, 3 {state}" in text
    assert asked in client.get(url).content.decode()  # type: ignore[attr-defined]
    assert set(Recipient.objects.values_list("state", flat=True)) == {state}
    assert client.post(url).status_code == 302  # type: ignore[attr-defined]
    assert set(Recipient.objects.values_list("state", flat=True)) == {then}
    client.force_login(UserFactory(permissions=["view_campaign"]))  # type: ignore[attr-defined]
    assert client.post(url).status_code == 403  # type: ignore[attr-defined]
