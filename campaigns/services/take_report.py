"""take_report: what a mail service tells by its webhook about one of our mails, in the words of django-anymail."""

from collections.abc import Iterator
from typing import Any

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from django.db import transaction

from campaigns import lifecycle
from campaigns.bounces import Kind, Notice
from campaigns.bounces.notice import failure
from campaigns.lifecycle import Happened
from campaigns.mailer import REFERENCE
from campaigns.models import Recipient
from campaigns.services.take_notice import act_on, recipient_of_references
from campaigns.services.track import link_of
from campaigns.services.unsubscribe import unsubscribe
from campaigns.states import EventKind

_FAILED = {EventType.BOUNCED, EventType.REJECTED, EventType.FAILED}
_READ = {EventType.OPENED: EventKind.OPENED, EventType.CLICKED: EventKind.CLICKED}
# What a service says in a word of its own, which django-anymail's “bounced” and “spam” do not tell apart: whether an
# address is dead for good, and whether it was its reader, or a filter, that said spam.
_OWN_WORDS: dict[str, dict[tuple[str, str], Kind]] = {
    "Amazon SES": {("bounceType", "Permanent"): Kind.HARD},
    "Brevo": {("event", "hard_bounce"): Kind.HARD},
    "Mailgun": {
        ("reason", "suppress-bounce"): Kind.HARD,
        ("reason", "suppress-complaint"): Kind.COMPLAINED,
        ("code", "607"): Kind.COMPLAINED,
    },
    "Mailjet": {
        ("error", "user unknown"): Kind.HARD,
        ("error", "mailbox inactive"): Kind.HARD,
        ("error", "spam reporter"): Kind.COMPLAINED,
    },
    "Mailtrap": {("event", "bounce"): Kind.HARD},
    "Mandrill": {("event", "hard_bounce"): Kind.HARD},
    "Postmark": {
        ("Type", "HardBounce"): Kind.HARD,
        ("SuppressionReason", "HardBounce"): Kind.HARD,
        ("Type", "SpamNotification"): Kind.REFUSED,
    },
    "Resend": {("type", "Permanent"): Kind.HARD},
    "SendGrid": {
        ("type", "bounce"): Kind.HARD,
        ("reason", "Bounced Address"): Kind.HARD,
        ("reason", "Spam Reporting Address"): Kind.COMPLAINED,
    },
    "SparkPost": {("bounce_class", "10"): Kind.HARD, ("bounce_class", "30"): Kind.HARD},
    "Unisender Go": {
        ("delivery_status", "err_user_unknown"): Kind.HARD,
        ("delivery_status", "err_user_inactive"): Kind.HARD,
    },
}
_REASONS = {
    RejectReason.INVALID: Kind.HARD,
    RejectReason.BLOCKED: Kind.REFUSED,
    RejectReason.SPAM: Kind.REFUSED,
}
_LEVELS = 5
_TEXT_MAX = 500


class TooEarly(Exception):
    """The mail is still in the hands of its sender; the service tells again when it got no answer."""


def take_report(event: AnymailTrackingEvent, service: str) -> bool:
    """Act on an event; whether it was news about a mail of ours.

    Found by the signed reference that went out with the mail, never by its address. Bounces and complaints mean what
    they mean when they come by mail, so that both ways count once. Delays, deliveries and automatic answers change
    nothing. Raises TooEarly.
    """
    references = _references(event)
    if event.event_type in _READ:
        return _record(recipient_of_references(references), event, service)
    if event.event_type == EventType.UNSUBSCRIBED or event.reject_reason == RejectReason.UNSUBSCRIBED:
        found = recipient_of_references(references)
        return found is not None and unsubscribe(found, source=service)
    notice = _notice(event, service, references)
    if notice is None:
        return False
    taken = act_on(notice)
    if taken.early:
        raise TooEarly("this mail is not settled yet")
    return taken.new


def _references(event: AnymailTrackingEvent) -> tuple[str, ...]:
    metadata: Any = event.metadata
    told = metadata.get(REFERENCE) if isinstance(metadata, dict) else None
    return tuple(text for text in (told, event.message_id) if isinstance(text, str))


def _record(recipient: Recipient | None, event: AnymailTrackingEvent, service: str) -> bool:
    if recipient is None:
        return False
    kind = _READ[event.event_type]
    own = event.event_id or f"{kind}:{recipient.pk}:{event.timestamp}:{event.click_url or ''}"
    url, source_id = event.click_url or "", f"{service}:{own}"[:_TEXT_MAX]
    with transaction.atomic():
        link = link_of(recipient.campaign_id, url) if url else None
        happened = Happened(recipient.pk, kind, detail=url, at=event.timestamp, source_id=source_id, link=link)
        return bool(lifecycle.record_events([happened]))


def _notice(event: AnymailTrackingEvent, service: str, references: tuple[str, ...]) -> Notice | None:
    text = " ".join(str(event.mta_response or event.description or event.reject_reason or "").split())[:_TEXT_MAX]
    own = _own_word(event.esp_event, service)
    if event.event_type == EventType.COMPLAINED or own is Kind.COMPLAINED:
        return Notice(Kind.REFUSED if own is Kind.REFUSED else Kind.COMPLAINED, references, text=text)
    if event.event_type not in _FAILED:
        return None
    told = failure("", text)
    kind = told.kind
    if kind is Kind.SOFT:  # the words of the server leave it open
        kind = own or _REASONS.get(event.reject_reason, kind)
    return Notice(kind, references, status=told.status, code=told.code, text=text)


def _own_word(said: Any, service: str) -> Kind | None:
    words = _OWN_WORDS.get(service, {})
    return next((words[pair] for pair in _pairs(said, _LEVELS) if pair in words), None)


def _pairs(said: Any, levels: int) -> Iterator[tuple[str, str]]:
    """The texts of an event under their names, at any level: each service has a shape of its own."""
    if not isinstance(said, dict) or not levels:
        return
    for name, value in said.items():
        if isinstance(value, str):
            yield name, value
        else:
            yield from _pairs(value, levels - 1)
