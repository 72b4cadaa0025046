"""take_report: what a mail service tells by its webhook about one of our mails, in the words of django-anymail."""

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
from campaigns.services.unsubscribe import unsubscribe
from campaigns.states import EventKind

_FAILED = {EventType.BOUNCED, EventType.REJECTED, EventType.FAILED}
_READ = {EventType.OPENED: EventKind.OPENED, EventType.CLICKED: EventKind.CLICKED}
# What a service says without the words of a mail server.
_NO_SUCH_MAILBOX = {RejectReason.INVALID, RejectReason.BOUNCED}
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
    notice = _notice(event, references)
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
    happened = Happened(
        recipient.pk, kind, detail=event.click_url or "", at=event.timestamp, source_id=f"{service}:{own}"[:_TEXT_MAX]
    )
    with transaction.atomic():
        return bool(lifecycle.record_events([happened]))


def _notice(event: AnymailTrackingEvent, references: tuple[str, ...]) -> Notice | None:
    text = " ".join(str(event.mta_response or event.description or event.reject_reason or "").split())[:_TEXT_MAX]
    if event.event_type == EventType.COMPLAINED or event.reject_reason == RejectReason.SPAM:
        return Notice(Kind.COMPLAINED, references, text=text)
    if event.event_type not in _FAILED:
        return None
    told = failure("", text)
    if told.status or told.code:
        kind = told.kind
    else:
        is_hard = event.reject_reason in _NO_SUCH_MAILBOX and "soft" not in text.lower()
        kind = Kind.HARD if is_hard else Kind.SOFT
    return Notice(kind, references, status=told.status, code=told.code, text=text)
