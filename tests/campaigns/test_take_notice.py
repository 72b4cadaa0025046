"""What a mail that came back does to the recipient it is about."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings

from campaigns import lifecycle, services
from campaigns.bounces import Kind
from campaigns.message import message_id
from campaigns.models import Campaign, CampaignEvent, CampaignHour, Recipient, SoftBounce, Suppression
from campaigns.services.letters import Letters
from campaigns.services.suppress import keep_off
from campaigns.smtp import Envelope
from campaigns.states import SuppressionReason
from tests.campaigns import notices
from tests.campaigns.smtp_server import DROP, SmtpServer
from tests.factories import CampaignFactory, add_recipients

pytestmark = pytest.mark.django_db
FULL = {"status": "5.2.2", "diagnostic": "smtp; 552 5.2.2 mailbox full"}


def sent(count: int = 1) -> list[Recipient]:
    campaign = CampaignFactory.create()
    rows = add_recipients(campaign, count)
    Recipient.objects.filter(campaign=campaign).update(state="sending", lease=(lease := uuid.uuid4()))
    lifecycle.settle(lease, [lifecycle.Settled(row.pk, "sent", 250, "ok") for row in rows])
    return rows


def id_of(row: Recipient) -> str:
    return message_id(row.campaign_id, row.pk, "example.com", django_settings.SECRET_KEY.encode())


def state(row: Recipient) -> tuple[str, str]:
    row.refresh_from_db()
    return row.state, row.detail


def test_a_hard_bounce_takes_the_mail_back_and_suppresses_the_address() -> None:
    ann, bob = sent(2)
    taken = services.take_notice(notices.report(id_of(ann)))
    assert (taken.recipient_id, taken.new, taken.suppressed, taken.understood) == (ann.pk, True, True, True)
    assert state(ann) == ("bounced", "550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown")
    assert state(bob)[0] == "sent"
    (entry,) = Suppression.objects.values_list("email", "reason", "source", "campaign")
    assert entry == (ann.email, "bounced", "bounce 5.1.1", ann.campaign_id)
    assert lifecycle.counts(ann.campaign_id)["bounced"] == 1


def test_a_mail_that_was_sent_again_may_come_back_again(smtp: SmtpServer, work: Callable[..., None]) -> None:
    smtp.script(dot=[DROP])
    campaign = CampaignFactory.create()
    (ann,) = add_recipients(campaign, 1)
    services.launch(campaign)
    work()
    assert state(ann)[0] == "unconfirmed"
    services.send_again(campaign)
    raw = notices.report(id_of(ann), **FULL)
    assert services.take_notice(raw).new
    assert state(ann)[0] == "pending"
    work(wait=False)
    assert state(ann)[0] == "sent"
    assert [services.take_notice(raw).new for _ in range(2)] == [True, False]
    assert state(ann)[0] == "bounced"
    assert SoftBounce.objects.get().count == 2


def test_the_same_notice_twice_counts_once() -> None:
    (ann,) = sent()
    raw = notices.report(id_of(ann), **FULL)
    assert [services.take_notice(raw).new for _ in range(5)] == [True, False, False, False, False]
    assert (CampaignEvent.objects.count(), SoftBounce.objects.get().count) == (1, 1)
    assert CampaignHour.objects.get(kind="bounced").n == 1
    assert not Suppression.objects.exists()


def test_an_address_taken_off_the_list_stays_off_when_the_notice_is_read_again() -> None:
    (ann,) = sent()
    raw = notices.report(id_of(ann))
    services.take_notice(raw)
    services.unsuppress(Suppression.objects.get())
    services.take_notice(raw)
    assert not Suppression.objects.exists()


def test_soft_bounces_of_several_campaigns_suppress_in_the_end() -> None:
    rows = [sent()[0] for _ in range(3)]
    taken = [services.take_notice(notices.report(id_of(row), **FULL)).suppressed for row in rows]
    assert taken == [False, False, True]
    assert [state(row)[0] for row in rows] == ["bounced"] * 3
    assert Suppression.objects.get().source == "repeated soft bounces 5.2.2"


def test_refusals_of_us_suppress_nobody_however_many_campaigns_they_come_from() -> None:
    blocked = {"status": "5.7.1", "diagnostic": "smtp; 550 5.7.1 client [192.0.2.1] blocked using zen.spamhaus.org"}
    rows = [sent()[0] for _ in range(4)]
    for row in rows:
        assert services.take_notice(notices.report(id_of(row), **blocked)).new
    assert [state(row)[0] for row in rows] == ["bounced"] * 4
    assert not Suppression.objects.exists()
    assert not SoftBounce.objects.exists()


def test_soft_bounces_of_long_ago_are_forgotten() -> None:
    rows = [sent()[0] for _ in range(4)]
    for row in rows[:2]:
        services.take_notice(notices.report(id_of(row), **FULL))
    SoftBounce.objects.update(since="2020-01-01T00:00Z")
    for row in rows[2:]:
        services.take_notice(notices.report(id_of(row), **FULL))
    assert SoftBounce.objects.get().count == 2
    assert not Suppression.objects.exists()


def test_the_word_of_a_person_stands_above_a_bounce_and_not_the_other_way_round() -> None:
    (person,) = sent()
    bounced, unsubscribed = SuppressionReason.BOUNCED, SuppressionReason.UNSUBSCRIBED
    assert keep_off(person, bounced, "bounce 5.1.1")
    assert not keep_off(person, unsubscribed, "unsubscribe link")
    assert not keep_off(person, bounced, "bounce 5.1.1")
    entry = Suppression.objects.get()
    assert (entry.reason, entry.source) == (unsubscribed, "unsubscribe link")


def test_a_complaint_suppresses_and_the_mail_stays_sent() -> None:
    (ann,) = sent()
    assert services.take_notice(notices.complaint(id_of(ann))).suppressed
    assert state(ann)[0] == "sent"
    assert Suppression.objects.get().reason == "complained"
    assert CampaignEvent.objects.get().kind == "complained"


@pytest.mark.parametrize("raw", [notices.holiday, lambda id: notices.report(id, action="delayed"), lambda id: b""])
def test_delays_and_automatic_answers_change_nothing(raw: Any) -> None:
    (ann,) = sent()
    taken = services.take_notice(raw(id_of(ann)))
    assert (taken.new, taken.suppressed) == (False, False)
    assert state(ann)[0] == "sent"
    assert not CampaignEvent.objects.exists()
    assert not Suppression.objects.exists()


def test_a_forged_bounce_suppresses_nobody() -> None:
    ann, bob = sent(2)
    genuine = id_of(ann)
    forged = [
        genuine.replace(f".{ann.pk}.", f".{bob.pk}."),
        f"<{bob.campaign_id}.{bob.pk}.0000000000000000@example.com>",
        f"<{2**63}.{2**63}.0000000000000000@example.com>",
        bob.email,
        "",
    ]
    for reference in forged:
        taken = services.take_notice(notices.report(reference))
        assert (taken.recipient_id, taken.understood) == (None, False)
    assert not Suppression.objects.exists()
    assert state(bob)[0] == "sent"


def test_a_notice_that_overtakes_its_own_mail_waits() -> None:
    (ann,) = sent()
    Recipient.objects.update(state="sending")
    taken = services.take_notice(notices.report(id_of(ann)))
    assert (taken.early, taken.understood, taken.new) == (True, False, False)
    assert not CampaignEvent.objects.exists()


def test_the_notice_of_a_mail_whose_campaign_is_gone_is_nobodys() -> None:
    (ann,) = sent()
    own_id = id_of(ann)
    Recipient.objects.all().delete()
    assert services.take_notice(notices.report(own_id)).recipient_id is None


def letter_to(row: Recipient) -> Envelope:
    campaign = Campaign.objects.get(pk=row.campaign_id)
    campaign.template_version = campaign.template.current_version
    return Letters(campaign).make(lifecycle.Leased(row.pk, row.key, row.email, "", "{}", 1))


def test_a_bounce_to_the_address_of_the_envelope_is_enough(settings: Any) -> None:
    settings.BOUNCE_ADDRESS = "bounces@example.org"
    (ann,) = sent()
    sender = letter_to(ann).mail_from
    assert sender.startswith(f"bounces+{ann.campaign_id}.{ann.pk}.")
    assert sender.endswith("@example.org")
    taken = services.take_notice(notices.report("", to=f"<{sender}>"))
    assert (taken.notice.kind, taken.recipient_id) == (Kind.HARD, ann.pk)
