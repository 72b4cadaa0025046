"""What mail services tell by their webhooks, posted as they post it."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from anymail.signals import AnymailTrackingEvent
from anymail.webhooks.amazon_ses import AmazonSESTrackingWebhookView
from anymail.webhooks.brevo import BrevoTrackingWebhookView
from anymail.webhooks.mailjet import MailjetTrackingWebhookView
from anymail.webhooks.mandrill import MandrillCombinedWebhookView
from anymail.webhooks.sendgrid import SendGridTrackingWebhookView
from anymail.webhooks.sparkpost import SparkPostTrackingWebhookView
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.test import Client

from campaigns import services
from campaigns.mailer.backend import REFERENCE, as_django
from campaigns.message import message_id
from campaigns.models import Campaign, CampaignEvent, Recipient, Suppression
from campaigns.services.letters import Letters
from campaigns.services.preview_message import leased
from tests.factories import CampaignFactory, add_recipients, completed, counts_by_scan

POSTMARK, MAILGUN = "/anymail/postmark/tracking/", "/anymail/mailgun/tracking/"


@pytest.fixture
def campaign(db: None) -> Campaign:
    made = CampaignFactory.create()
    add_recipients(made, 3)
    return completed(services.launch(made), "sent", 250)


@pytest.fixture
def person(campaign: Campaign) -> Recipient:
    return Recipient.objects.order_by("pk")[0]


def reference(person: Recipient, *, secret: str = settings.SECRET_KEY) -> str:
    return message_id(person.campaign_id, person.pk, "example.com", secret.encode())


def post(url: str, body: dict[str, Any], *, secret: str = "hook:secret", raw: bytes | None = None) -> int:
    header = "Basic " + base64.b64encode(secret.encode()).decode()
    content = json.dumps(body) if raw is None else raw
    return Client().post(url, content, content_type="application/json", headers={"Authorization": header}).status_code


def postmark(person: Recipient, **fields: Any) -> dict[str, Any]:
    body = {"MessageID": "0c6a-1", "Recipient": "somebody@else.example", "Metadata": {REFERENCE: reference(person)}}
    return {**body, **fields}


def bounce(person: Recipient, kind: str = "HardBounce", **fields: Any) -> dict[str, Any]:
    details = "smtp;550 5.1.1 The email account does not exist" if kind == "HardBounce" else "mailbox is full, soft"
    known = {"RecordType": "Bounce", "ID": 42, "Type": kind, "Details": details, "BouncedAt": "2026-11-05T16:33:54Z"}
    return postmark(person, **{**known, **fields})


def kinds() -> list[str]:
    return list(CampaignEvent.objects.order_by("id").values_list("kind", flat=True))


def test_a_hard_bounce_moves_the_recipient_and_suppresses_the_address(campaign: Campaign, person: Recipient) -> None:
    assert post(POSTMARK, bounce(person)) == 200
    person.refresh_from_db()
    assert (person.state, person.code) == ("bounced", 550)
    assert "5.1.1" in person.detail
    assert Suppression.objects.get().key == person.key
    assert post(POSTMARK, bounce(person)) == 200
    assert kinds() == ["bounced"]
    assert counts_by_scan(campaign)["bounced"] == 1


@pytest.mark.parametrize("words", ["mailbox is full, soft", "Mailbox is over quota", "", "smtp;550 No"])
def test_a_soft_bounce_suppresses_nobody_at_once(person: Recipient, words: str) -> None:
    assert post(POSTMARK, bounce(person, "SoftBounce", Details=words)) == 200
    assert kinds() == ["bounced"]
    assert not Suppression.objects.exists()


def test_a_complaint_suppresses_and_leaves_the_mail_sent(person: Recipient) -> None:
    body = bounce(person, "SpamComplaint", RecordType="SpamComplaint")
    assert post(POSTMARK, body) == 200
    person.refresh_from_db()
    assert (person.state, kinds(), Suppression.objects.get().reason) == ("sent", ["complained"], "complained")


def told_by(service: str, person: Recipient, **said: Any) -> AnymailTrackingEvent:
    """The event in the words of a service, as django-anymail reads it."""
    mark = {REFERENCE: reference(person)}
    if service == "Amazon SES":
        mail = {"headers": [{"name": "X-Metadata", "value": json.dumps(mark)}]}
        bounced = {"bouncedRecipients": [{"emailAddress": "x@y.example", "diagnosticCode": said.pop("diag", None)}]}
        event = {"notificationType": "Bounce", "mail": mail, "bounce": {**bounced, **said}}
        reader: Any = object.__new__(AmazonSESTrackingWebhookView)
        return reader.esp_to_anymail_events(event, {"MessageId": "1"})[0]
    if service == "SparkPost":
        event = {"type": "bounce", "timestamp": "1460989507", "rcpt_meta": mark, **said}
        whole = {"msys": {"message_event": event}}
        return SparkPostTrackingWebhookView().esp_to_anymail_event("message_event", event, whole)
    if service == "Mailjet":
        event = {"event": "bounce", "time": 1460989507, "Payload": json.dumps(mark), **said}
        return MailjetTrackingWebhookView().esp_to_anymail_event(event)
    if service == "SendGrid":
        event = {"event": "bounce", "timestamp": 1460989507, **mark, **said}
        return object.__new__(SendGridTrackingWebhookView).esp_to_anymail_event(event)
    if service == "Brevo":
        event = {"ts_event": 1460989507, "X-Mailin-custom": json.dumps(mark), **said}
        return BrevoTrackingWebhookView().esp_to_anymail_event(event)
    event = {"ts": 1460989507, "event": said.pop("event"), "msg": {"metadata": mark, **said}}
    return object.__new__(MandrillCombinedWebhookView).mandrill_tracking_to_anymail_event(event)


BLOCKED = "550 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using Spamhaus"


@pytest.mark.parametrize(
    ("service", "said", "listed"),
    [
        ("Amazon SES", {"bounceType": "Transient", "bounceSubType": "General"}, None),
        ("Amazon SES", {"bounceType": "Transient", "bounceSubType": "MailboxFull"}, None),
        ("Amazon SES", {"bounceType": "Permanent", "bounceSubType": "General"}, "bounced"),
        ("Amazon SES", {"bounceType": "Permanent", "bounceSubType": "General", "diag": f"smtp; {BLOCKED}"}, None),
        ("SparkPost", {"bounce_class": "21", "raw_reason": "unable to get mx info"}, None),
        ("SparkPost", {"bounce_class": "22", "raw_reason": "Mailbox is full"}, None),
        ("SparkPost", {"bounce_class": "10", "raw_reason": "550 No"}, "bounced"),
        ("SparkPost", {"bounce_class": "51", "raw_reason": BLOCKED}, None),
        ("SparkPost", {"bounce_class": "52", "raw_reason": "554 rejected"}, None),
        ("SparkPost", {"type": "spam_complaint"}, "complained"),
        ("Mailjet", {"error": "quota exceeded", "event": "blocked"}, None),
        ("Mailjet", {"error": "relay/access denied"}, None),
        ("Mailjet", {"error": "user unknown"}, "bounced"),
        ("Mailjet", {"error": "spam reporter", "event": "blocked"}, "complained"),
        ("SendGrid", {"type": "blocked", "reason": "550 No"}, None),
        ("SendGrid", {"type": "bounce", "reason": "550 No"}, "bounced"),
        ("SendGrid", {"event": "dropped", "reason": "Invalid"}, "bounced"),
        ("SendGrid", {"event": "dropped", "reason": "Spam Reporting Address"}, "complained"),
        ("Brevo", {"event": "soft_bounce", "reason": "over quota"}, None),
        ("Brevo", {"event": "hard_bounce", "reason": "550 No"}, "bounced"),
        ("Mandrill", {"event": "soft_bounce", "diag": "smtp;552 full"}, None),
        ("Mandrill", {"event": "hard_bounce"}, "bounced"),
    ],
)
def test_only_what_a_service_itself_calls_dead_or_a_complaint_suppresses_at_once(
    person: Recipient, service: str, said: dict[str, Any], listed: str | None
) -> None:
    assert services.take_report(told_by(service, person, **said), service)
    assert Suppression.objects.values_list("reason", flat=True).first() == listed
    assert kinds() == ["complained" if listed == "complained" else "bounced"]


def test_a_filter_that_says_spam_is_no_complaint_of_a_reader(person: Recipient) -> None:
    body = bounce(person, "SpamNotification", Details="smtp;554 5.7.1 this looks like spam")
    assert post(POSTMARK, body) == 200
    assert (kinds(), Suppression.objects.exists()) == (["bounced"], False)


def test_what_is_read_is_recorded_once(campaign: Campaign, person: Recipient) -> None:
    opened = postmark(person, RecordType="Open", ReceivedAt="2026-11-05T16:33:54Z", UserAgent="x")
    clicked = postmark(
        person, RecordType="Click", ReceivedAt="2026-11-05T16:34:54Z", OriginalLink="https://example.com/tea"
    )
    for body in (opened, clicked, opened, clicked):
        assert post(POSTMARK, body) == 200
    assert kinds() == ["opened", "clicked"]
    assert CampaignEvent.objects.get(kind="clicked").detail == "https://example.com/tea"
    (link,) = services.campaign_stats(campaign)["links"]
    assert (link["url"], link["clicks"], link["people"]) == ("https://example.com/tea", 1, 1)
    assert person.state == "sent"


@pytest.mark.parametrize("odd", ["\ud800", "a\x00b", "\udfff" * 3_000])
def test_no_text_of_a_service_is_a_fault_of_ours(person: Recipient, odd: str) -> None:
    clicked = postmark(person, RecordType="Click", ReceivedAt="2026-11-05T16:34:54Z", OriginalLink=odd, MessageID=odd)
    complained = bounce(person, "SpamComplaint", RecordType="SpamComplaint", ID=odd, Details=odd)
    for body in (clicked, clicked, complained, bounce(person, ID=odd, Details=odd, MessageID=odd)):
        assert post(POSTMARK, body) == 200
    assert kinds()[:2] == ["clicked", "complained"]
    assert post(POSTMARK, bounce(person, Metadata={REFERENCE: odd}, MessageID=odd)) == 200
    event = AnymailTrackingEvent(
        **{"event_type": "opened", "event_id": odd, "metadata": {REFERENCE: reference(person)}, "timestamp": None}
    )
    assert services.take_report(event, "ses")
    assert not services.take_report(event, "ses")


def test_an_unsubscription_is_one_wherever_it_was_made(person: Recipient) -> None:
    body = postmark(
        person, RecordType="SubscriptionChange", SuppressSending=True, SuppressionReason="ManualSuppression"
    )
    assert post(POSTMARK, body) == 200
    assert (Suppression.objects.get().reason, kinds()) == ("unsubscribed", ["unsubscribed"])


@pytest.mark.parametrize("kind", ["Transient", "AutoResponder", "DnsError", "ChallengeVerification"])
def test_delays_and_automatic_answers_change_nothing(person: Recipient, kind: str) -> None:
    assert post(POSTMARK, bounce(person, kind, Details="later")) == 200
    assert post(POSTMARK, postmark(person, RecordType="Delivery", DeliveredAt="2026-11-05T16:33:54Z")) == 200
    assert kinds() == []


def test_nobody_is_found_by_address_or_a_forged_reference(person: Recipient) -> None:
    forged = {REFERENCE: reference(person, secret="another")}
    for metadata in ({}, forged, {REFERENCE: 7}, {REFERENCE: "x" * 10_000}, {REFERENCE: "<1.2.0123456789abcdef@x>"}):
        assert post(POSTMARK, bounce(person, Metadata=metadata, Recipient=person.email, Email=person.email)) == 200
    assert (kinds(), Suppression.objects.exists()) == ([], False)


@pytest.mark.parametrize("secret", ["hook:wrong", ":", "x"])
def test_a_wrong_secret_is_refused(person: Recipient, secret: str) -> None:
    assert post(POSTMARK, bounce(person), secret=secret) == 400
    assert Client().post(POSTMARK, bounce(person), content_type="application/json").status_code == 400
    assert kinds() == []


def test_a_signed_report_of_mailgun_is_taken_and_a_badly_signed_one_is_not(person: Recipient) -> None:
    stamp, token = str(int(time.time())), "t" * 50

    def report(key: bytes) -> dict[str, Any]:
        signature = hmac.new(key, (stamp + token).encode(), hashlib.sha256).hexdigest()
        failed = {
            **{"event": "failed", "severity": "permanent", "reason": "bounce", "id": "e1", "timestamp": time.time()},
            "delivery-status": {"code": 550, "message": "5.1.1 no such user"},
            "message": {"headers": {"message-id": reference(person).strip("<>")}},
            "user-variables": {},
            "recipient": "x@y.example",
        }
        return {"signature": {"timestamp": stamp, "token": token, "signature": signature}, "event-data": failed}

    assert post(MAILGUN, report(b"forged")) == 400
    assert kinds() == []
    assert post(MAILGUN, report(b"signing")) == 200
    assert kinds() == ["bounced"]


def test_a_report_about_a_mail_under_way_is_told_again_later(campaign: Campaign, person: Recipient) -> None:
    Recipient.objects.filter(pk=person.pk).update(state="sending")
    with pytest.raises(services.TooEarly):
        post(POSTMARK, bounce(person))
    assert kinds() == []


def test_the_reference_goes_out_with_mail_through_a_service(campaign: Campaign, person: Recipient) -> None:
    from anymail.backends.postmark import EmailBackend

    envelope = Letters(campaign).make(leased(person))
    message = as_django(envelope, EmailBackend(server_token="t"))
    assert message.metadata == {REFERENCE: reference(person).replace("example.com", "example.com")}
    assert not hasattr(as_django(envelope), "metadata")
    assert isinstance(message, EmailMultiAlternatives)


DEEP = "[" * 100_000


@pytest.mark.parametrize("service", ["postmark", "mailgun", "sparkpost", "mailjet", "brevo"])
@pytest.mark.parametrize(
    "raw", [b"", b"[1]", b"null", b"7", b"{", DEEP.encode(), b"\xff", b'{"Metadata": "x@y.example"']
)
def test_what_nobody_can_read_is_refused_for_good_and_its_words_are_not_logged(
    db: None, service: str, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert post(f"/anymail/{service}/tracking/", {}, raw=raw) == 400
    assert "x@y.example" not in caplog.text


@pytest.mark.parametrize("metadata", [[], "x", 7, {"a": []}])
def test_a_report_with_odd_metadata_is_no_fault_of_ours(person: Recipient, metadata: Any) -> None:
    assert post(POSTMARK, bounce(person, Metadata=metadata)) in (200, 400)
    assert kinds() == []


def test_why_a_report_cannot_be_read_is_told(db: None, caplog: pytest.LogCaptureFixture) -> None:
    header = "Basic " + base64.b64encode(b"hook:secret").decode()
    answer = Client().post(POSTMARK, b"null", content_type="application/json", headers={"Authorization": header})
    assert answer["Content-Type"].startswith("text/plain")
    assert b"no report that can be read" in answer.content
    assert [record.getMessage() for record in caplog.records if record.name == "campaigns.webhook_views"] == [
        "A report of Postmark cannot be read (TypeError, 4 bytes)"
    ]


def test_a_key_that_is_not_set_is_named_in_the_log_and_asked_for_again_later(
    db: None, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ANYMAIL = {"WEBHOOK_SECRET": "hook:secret"}
    assert post(MAILGUN, {}) == 503
    assert "MAILGUN_WEBHOOK_SIGNING_KEY" in caplog.text
