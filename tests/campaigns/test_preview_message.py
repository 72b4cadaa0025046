"""The mail somebody would get, shown before it is sent, and tried by a test."""

import email
import email.policy
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from campaigns import services
from campaigns.errors import TestRefused
from campaigns.models import Campaign, MailTransport, Recipient
from queue_core.services import Actor
from templates_app.rendering import Content
from templates_app.services import edit_template
from tests.campaigns.smtp_server import SmtpServer
from tests.campaigns.test_dkim import key, verifies
from tests.factories import CampaignFactory, TemplateFactory, UserFactory

HTML = (
    "<p>Hi {{ recipient.name }} from {{ recipient.city }}</p>"
    '<img src="https://x.example/p.png"><a href="{{ unsubscribe_url }}">x</a>'
)


@pytest.fixture
def campaign(db: None) -> Campaign:
    template = TemplateFactory.create(subject="For {{ recipient.name }}", html=HTML)
    made: Campaign = CampaignFactory.create(template=template, name="Teas")
    people = [
        {"email": f"p{n}@example.com", "name": f"Person {n}", "attributes": {"city": f"City {n}"}} for n in range(3)
    ]
    services.add_recipients(made, people)
    return made


def people() -> list[Recipient]:
    return list(Recipient.objects.order_by("pk"))


def test_it_is_the_very_message_that_would_be_sent(campaign: Campaign) -> None:
    row = key()
    shown = services.preview_message(campaign, people()[1])
    assert (shown.to, shown.subject, shown.problem) == ("p1@example.com", "For Person 1", "")
    assert "Hi Person 1 from City 1" in shown.html
    assert "Hi Person 1 from City 1" in shown.text
    headers = dict(shown.headers)
    assert headers["To"] == "Person 1 <p1@example.com>"
    assert headers["List-Unsubscribe"].strip("<>") in shown.html
    assert services.recipient_of(headers["List-Unsubscribe"].strip("<>").rstrip("/").rpartition("/")[2]) is None
    raw = shown.source.encode()
    assert (len(raw), verifies(raw, row)) == (shown.size, True)


def test_without_recipients_somebody_is_made_up(db: None) -> None:
    template = TemplateFactory.create(html=HTML + "{{ recipient.address.street }}")
    shown = services.preview_message(CampaignFactory.create(template=template))
    assert shown.problem == ""
    assert "Ada Example" in shown.html


def test_what_cannot_be_made_is_told(campaign: Campaign) -> None:
    Recipient.objects.update(attributes={})
    assert "city" in services.preview_message(campaign, people()[0]).problem
    Campaign.objects.update(from_email="nonsense")
    assert "From" in services.preview_message(Campaign.objects.get()).problem


def test_a_launched_campaign_is_shown_as_it_was_launched(campaign: Campaign) -> None:
    services.launch(campaign)
    edit_template(template=campaign.template, parts=Content("New", HTML, "")._asdict())
    campaign = Campaign.objects.get()
    assert services.preview_message(campaign, people()[0]).subject == "For Person 0"


def test_a_test_is_marked_and_the_ledger_knows_nothing_of_it(smtp: SmtpServer, campaign: Campaign) -> None:
    services.suppress("gone@example.com")
    told = services.send_test(campaign, ["me@example.com", "gone@example.com", "ME@example.com"], recipient=people()[2])
    assert [(one.to, one.accepted) for one in told] == [("ME@example.com", True), ("gone@example.com", False)]
    assert "suppression" in told[1].detail
    by = Actor(UserFactory(), "api")
    services.send_test(campaign, ["gone@example.com", "you@example.com"], by=by)
    assert LogEntry.objects.latest("pk").change_message == "Test mail to you@example.com. (api)"
    smtp.bodies.pop()
    (raw,) = smtp.bodies
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert (mail["To"], mail["Subject"]) == ("ME@example.com", "[Test] For Person 2")
    assert mail["X-Posthaste-Test"] == f"campaign {campaign.pk}"
    token = mail["List-Unsubscribe"].strip("<>").rstrip("/").rpartition("/")[2]
    assert services.recipient_of(token) is None
    assert {person.state for person in people()} == {"pending"}


def test_what_the_mail_server_says_is_told(smtp: SmtpServer, campaign: Campaign) -> None:
    smtp.script(rcpt=["550 5.1.1 no such user"])
    (told,) = services.send_test(campaign, ["me@example.com"])
    assert not told.accepted
    assert "550 " in told.detail
    assert "no such user" in told.detail


@pytest.mark.parametrize("to", [[], ["a@example.com"] * 11, ["nobody"], ["a@example.com\r\nBcc: x"]])
def test_nonsense_is_refused_and_nothing_sent(smtp: SmtpServer, campaign: Campaign, to: list[str]) -> None:
    with pytest.raises(TestRefused) as refused:
        services.send_test(campaign, to)
    assert refused.value.field == "to"
    assert smtp.bodies == []


def test_without_a_transport_or_a_mail_nothing_is_sent(campaign: Campaign) -> None:
    MailTransport.objects.create(name="off", kind="smtp", host="127.0.0.1", port=1, enabled=False)
    with pytest.raises(TestRefused, match="No transport"):
        services.send_test(campaign, ["a@example.com"])
    Campaign.objects.update(from_email="nonsense")
    with pytest.raises(TestRefused, match="cannot be made"):
        services.send_test(Campaign.objects.get(), ["a@example.com"])


def test_the_page_shows_each_part_of_each_mail(client: Any, campaign: Campaign) -> None:
    client.force_login(UserFactory(is_superuser=True, email="me@example.com"))
    page = reverse("admin:campaigns_campaign_preview", args=[campaign.pk])

    def shown(**query: str) -> str:
        return str(client.get(page, query).content.decode())

    assert page in client.get(reverse("admin:campaigns_campaign_change", args=[campaign.pk])).content.decode()
    first, last = people()[0].pk, people()[2].pk
    content = shown()
    assert "Hi Person 0 from City 0" in content
    assert f"recipient={people()[1].pk}" in content
    assert "img-src data:&quot;" in content
    assert "me@example.com" in content
    assert "img-src data: https: http:&quot;" in shown(images="1")
    assert "Hi Person 2" in shown(email="P2@")
    assert "Nobody in this campaign" in shown(email="zz")
    services.add_recipients(
        campaign, [{"email": "anna@müller.example", "attributes": {"city": "Bonn"}, "name": "Anna"}]
    )
    for typed in ("Anna@Müller.example", "anna@mü"):
        assert "Hi Anna" in shown(email=typed)
    assert "ph-phone" in shown(width="phone")
    assert "List-Unsubscribe-Post" in shown(part="headers", recipient=str(last))
    assert "Content-Transfer-Encoding" in shown(part="source")
    assert "<iframe" not in shown(part="text")
    for odd in ("0", "9" * 30, "x", "\x00", str(first + 10**6)):
        assert "Person 0" in shown(recipient=odd)
    assert "Person 0" in shown(email="\x00", part="nonsense", width="<b>")


def test_the_page_sends_a_test(client: Any, smtp: SmtpServer, campaign: Campaign) -> None:
    client.force_login(UserFactory(is_superuser=True))
    page = reverse("admin:campaigns_campaign_preview", args=[campaign.pk])
    said = client.post(page, {"to": "a@example.com, b@example.com"}, follow=True).content.decode()
    assert len(smtp.bodies) == 2
    assert "a@example.com: 250" in said
    assert "Give 1 to 10" in client.post(page, {"to": " "}, follow=True).content.decode()
    said = client.post(page, {"to": "a@example.com, nobody"}).content.decode()
    assert "nobody" in said
    assert 'value="a@example.com, nobody"' in said
    client.force_login(UserFactory(permissions=["view_campaign", "view_recipient"]))
    assert client.get(page).status_code == 200
    assert client.post(page, {"to": "a@example.com"}).status_code == 403
    client.force_login(UserFactory(permissions=["view_campaign"]))
    assert client.get(page).status_code == 403
