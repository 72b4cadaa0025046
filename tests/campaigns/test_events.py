import datetime
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from campaigns import lifecycle, services
from campaigns.admin.event_pages import reply
from campaigns.lifecycle import Happened
from campaigns.models import Campaign, CampaignEvent, CampaignHour, Recipient, TrackedLink
from campaigns.states import EventKind
from tests.campaigns.smtp_server import SmtpServer
from tests.factories import CampaignFactory, UserFactory, add_recipients, counts_by_scan

pytestmark = pytest.mark.django_db
Work = Callable[..., None]


def sent(count: int) -> tuple[Campaign, list[Recipient]]:
    campaign = CampaignFactory.create()
    rows = add_recipients(campaign, count)
    Recipient.objects.filter(campaign=campaign).update(state="sending", lease=(lease := uuid.uuid4()))
    lifecycle.settle(lease, [lifecycle.Settled(row.pk, "sent", 250, "ok") for row in rows])
    return campaign, rows


def test_events_are_kept_with_their_campaign_and_counted_by_the_hour() -> None:
    campaign, (ann, bob) = sent(2)
    then = datetime.datetime(2026, 3, 1, 14, 30, tzinfo=datetime.UTC)
    new = lifecycle.record_events(
        [
            Happened(ann.pk, EventKind.OPENED, at=then),
            Happened(ann.pk, EventKind.OPENED, at=then),
            Happened(bob.pk, EventKind.CLICKED, detail="https://example.com/a", at=then),
            Happened(10**15, EventKind.OPENED),
        ]
    )
    assert new == 3
    kept = CampaignEvent.objects.order_by("pk").values_list("campaign", "recipient", "kind", "at", "detail")
    assert list(kept)[1:] == [
        (campaign.pk, ann.pk, "opened", then, ""),
        (campaign.pk, bob.pk, "clicked", then, "https://example.com/a"),
    ]
    hours = CampaignHour.objects.exclude(kind="sent").order_by("kind").values_list("hour", "kind", "n")
    assert list(hours) == [(then.replace(minute=0), "clicked", 1), (then.replace(minute=0), "opened", 2)]


@pytest.mark.parametrize(
    ("code", "detail", "shown"),
    [
        (550, "550 5.2.2 mailbox full", "550 5.2.2 mailbox full"),
        (550, "5.2.2 mailbox full", "550 5.2.2 mailbox full"),
        (None, "https://example.com/", "https://example.com/"),
        (421, "", "421"),
    ],
)
def test_a_reply_shows_its_code_once(code: int | None, detail: str, shown: str) -> None:
    assert reply(code, detail) == shown


def test_clicks_are_counted_by_link_and_each_reader_once() -> None:
    campaign, (ann, bob) = sent(2)
    link = TrackedLink.objects.create(campaign=campaign, url="https://example.com/a", digest="d")
    clicks = [Happened(who.pk, EventKind.CLICKED, detail=link.url, link=link.pk) for who in (ann, ann, bob)]
    lifecycle.record_events(clicks)
    lifecycle.record_events(clicks[:1])
    lifecycle.count_click(link.pk)
    (found,) = services.campaign_stats(campaign)["links"]
    assert (found["clicks"], found["people"]) == (5, 2)


def test_a_source_that_tells_twice_is_heard_once() -> None:
    _, (ann,) = sent(1)
    event = Happened(ann.pk, EventKind.COMPLAINED, source_id="fbl:1")
    assert lifecycle.record_events([event, event]) == 1
    assert lifecycle.record_events([event]) == 0
    assert CampaignEvent.objects.count() == 1


def test_a_bounce_takes_back_that_it_was_sent_and_nothing_else() -> None:
    campaign, (ann, bob, cy) = sent(3)
    Recipient.objects.filter(pk=cy.pk).update(state="rejected")
    lifecycle.record_events(
        [
            Happened(ann.pk, EventKind.BOUNCED, 550, "5.1.1 no such user"),
            Happened(ann.pk, EventKind.BOUNCED, 550, "again"),
            Happened(bob.pk, EventKind.COMPLAINED),
            Happened(cy.pk, EventKind.BOUNCED, 550, "5.1.1"),
        ]
    )
    states = Recipient.objects.order_by("pk").values_list("state", "code", "detail")
    assert list(states) == [("bounced", 550, "5.1.1 no such user"), ("sent", 250, "ok"), ("rejected", 250, "ok")]
    assert CampaignEvent.objects.filter(campaign=campaign).count() == 4


def test_a_time_ahead_is_now_and_a_hostile_text_is_cut() -> None:
    _, (ann,) = sent(1)
    ahead = timezone.now() + datetime.timedelta(days=9)
    lifecycle.record_events([Happened(ann.pk, EventKind.CLICKED, detail="\x00" + "x" * 9_000, at=ahead)])
    event = CampaignEvent.objects.get()
    assert event.at < ahead
    assert event.detail == "\\x00" + "x" * 1_995 + "…"


@pytest.mark.django_db(transaction=True)
def test_refusals_of_recipients_are_events_and_sent_mails_are_only_counted(
    smtp: SmtpServer, work: Work, settings: object
) -> None:
    settings.CAMPAIGNS_DEFER_SECONDS = [60]  # type: ignore[attr-defined]
    campaign = CampaignFactory.create()
    rows = add_recipients(campaign, 4)
    smtp.script(rcpt=["250 ok", "550 5.1.1 no such user", "450 4.2.0 later", "250 ok", "450 4.2.0 later"])
    services.launch(campaign)
    work()
    work(wait=False)
    kinds = CampaignEvent.objects.order_by("pk").values_list("recipient", "kind", "code")
    assert list(kinds) == [(rows[1].pk, "rejected", 550), (rows[2].pk, "deferred", 450), (rows[2].pk, "rejected", 450)]
    assert CampaignHour.objects.get(kind="sent").n == 2
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


def test_the_admin_shows_what_happened_to_a_mail_and_to_those_of_a_campaign(client: Client) -> None:
    campaign, (ann, bob) = sent(2)
    lifecycle.record_events([Happened(ann.pk, EventKind.CLICKED, detail="https://example.com/<b>")])
    lifecycle.record_events([Happened(bob.pk, EventKind.DEFERRED, 451, f"later {n}") for n in range(55)])
    client.force_login(UserFactory(permissions=["view_campaign", "view_recipient"]))
    page = reverse("admin:campaigns_campaign_events", args=[campaign.pk])
    assert page in client.get(reverse("admin:campaigns_campaign_change", args=[campaign.pk])).content.decode()

    shown = client.get(reverse("admin:campaigns_recipient_change", args=[ann.pk])).content.decode()
    assert "https://example.com/&lt;b&gt;" in shown
    assert "Older ones" not in shown
    answer = client.get(reverse("admin:campaigns_recipient_change", args=[bob.pk]))
    assert len(answer.context["events"]) == 50
    assert [event["text"] for event in client.get(answer.context["older"]).context["events"]] == [
        f"451 later {n}" for n in range(4, -1, -1)
    ]

    with CaptureQueriesContext(connection) as queries:
        answer = client.get(page)
    assert len([query for query in queries if "campaign_events" in query["sql"]]) == 1
    assert len(answer.context["events"]) == 50
    older = client.get(page + answer.context["older"]).context["events"]
    assert [event["kind"] for event in older] == ["deferred"] * 5 + ["clicked"]
    assert older[-1]["email"] == ann.email
    clicked = client.get(page + "?kind=clicked").context
    assert (len(clicked["events"]), clicked["older"]) == (1, "")
    assert len(client.get(page + "?kind=x&recipient=-1&before=" + "9" * 30).context["events"]) == 50
    client.force_login(UserFactory(permissions=["view_campaign"]))
    assert client.get(page).status_code == 403


def test_unsubscribing_is_an_event_however_often_the_link_is_used(client: Client) -> None:
    _, (ann,) = sent(1)
    path = urlsplit(services.unsubscribe_url(ann.pk)).path
    client.get(path)
    assert not CampaignEvent.objects.exists()
    for _ in range(3):
        assert client.post(path).status_code == 200
    assert list(CampaignEvent.objects.values_list("recipient", "kind")) == [(ann.pk, "unsubscribed")]
    assert CampaignHour.objects.get(kind="unsubscribed").n == 1
