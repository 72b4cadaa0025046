"""A mail of the bounce mailbox by its structure: RFC 3464 reports, RFC 5965 complaints, RFC 3834 answers."""

import email
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message

from campaigns.bounces import prose
from campaigns.bounces.notice import Kind, Notice, failure, status_of

_log = logging.getLogger(__name__)

# Reports carry the original at the end; what says why comes first. A longer mail is read so far.
MAX_BYTES = 512 * 1024
# Each level of nesting has such a type; the parser of the standard library needs one frame of the stack per level.
_MAX_LEVELS = 50
_LEVEL = re.compile(rb"(?:multipart|message)/", re.IGNORECASE)
_MAX_RECIPIENTS = 100
_MAX_REFERENCES = 20
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,250}>")
# Ours are `name+reference@domain`: the reference is looked at as if it were the left half of a Message-ID.
_TAGGED = re.compile(r"\+([^\s<>,;+@]{3,200}@[^\s<>,;@]{1,250})")
_ENVELOPE_HEADERS = ("Delivered-To", "X-Original-To", "Envelope-To", "To")
_RELATED_HEADERS = ("In-Reply-To", "References")
_REPORTS = {"message/delivery-status", "message/global-delivery-status"}
_ORIGINALS = {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"}
_ACTIONS = {"delayed": Kind.DELAYED, "delivered": Kind.DELIVERED, "relayed": Kind.DELIVERED, "expanded": Kind.DELIVERED}
_COMPLAINTS = {"abuse", "fraud", "virus", "opt-out", "other"}
_AUTO_HEADERS = ("X-Autoreply", "X-Autorespond", "X-Autoresponder")
# A mail of ours has one recipient; several mean an alias, which is only as bad as the best of them.
_MILDEST = (Kind.DELIVERED, Kind.DELAYED, Kind.REFUSED, Kind.SOFT, Kind.HARD)


def parse(raw: bytes) -> Notice:
    """What this mail says. Takes any bytes; what cannot be read is UNKNOWN."""
    raw = raw[:MAX_BYTES]
    if len(_LEVEL.findall(raw)) > _MAX_LEVELS:
        return Notice(Kind.UNKNOWN)
    try:
        mail = email.message_from_bytes(raw)
        return replace(_read(mail), references=_references(mail))
    except Exception:
        # Anybody may write to the mailbox, and one mail must not keep all others from being read.
        _log.exception("A mail of the bounce mailbox cannot be read; it is left for a person.")
        return Notice(Kind.UNKNOWN)


def _read(mail: Message) -> Notice:
    """A report is one at the top only: one that somebody attached to a letter of his own is not the server's word."""
    parts = _parts(mail)
    for part in parts:
        if part.get_content_type() in _REPORTS:
            return _delivery_report(part)
        if part.get_content_type() == "message/feedback-report":
            return _complaint(part)
    if _is_receipt(mail) or _is_auto_reply(mail):
        return prose.read(mail, parts) or Notice(Kind.AUTO_REPLY)
    return prose.read(mail, parts) or Notice(Kind.UNKNOWN)


def _parts(mail: Message) -> list[Message]:
    if mail.get_content_maintype() != "multipart" or not mail.is_multipart():
        return [mail]
    return _inner(mail)


def _inner(part: Message) -> list[Message]:
    """What the parser found inside of a part; none where it is text."""
    # Asked of a text, `get_payload` would decode it by the charset that the mail names, which may be anything.
    payload = part.get_payload() if part.is_multipart() else []
    return [found for found in payload if isinstance(found, Message)] if isinstance(payload, list) else []


def _delivery_report(part: Message) -> Notice:
    found = [notice for fields in _blocks(part) if (notice := _recipient(fields)) is not None]
    return min(found, key=lambda notice: _MILDEST.index(notice.kind), default=Notice(Kind.UNKNOWN))


def _recipient(fields: Message) -> Notice | None:
    """One recipient of a delivery report; None for the fields about the whole message."""
    action = _field(fields, "Action").split("(")[0].strip().lower()
    recipient = _typed(_field(fields, "Original-Recipient") or _field(fields, "Final-Recipient"))
    status, diagnostic = status_of(_field(fields, "Status")), _typed(_field(fields, "Diagnostic-Code"))
    if action == "failed":
        return failure(status, diagnostic, recipient)
    if action in _ACTIONS:
        return Notice(_ACTIONS[action], (), recipient, status, text=diagnostic[:500])
    return None


def _complaint(part: Message) -> Notice:
    for fields in _blocks(part):
        kind = _field(fields, "Feedback-Type").lower()
        recipient = _field(fields, "Original-Rcpt-To").strip("<>")
        if kind in _COMPLAINTS:
            return Notice(Kind.COMPLAINED, (), recipient, text=f"feedback: {kind}")
        if kind:  # not-spam, auth-failure: no complaint about the mail
            return Notice(Kind.UNKNOWN, (), recipient, text=f"feedback: {kind[:100]}")
    return Notice(Kind.UNKNOWN)


def _blocks(part: Message) -> Iterator[Message]:
    """The groups of fields of a report, whichever way the parser has cut them."""
    groups = _inner(part) if part.is_multipart() else [email.message_from_string(prose.text_of(part))]
    for group in groups[: _MAX_RECIPIENTS + 1]:
        yield group
        for text in re.split(r"\n\s*\n", prose.text_of(group))[:_MAX_RECIPIENTS]:
            yield email.message_from_string(text.lstrip())


def _field(fields: Message, name: str) -> str:
    return " ".join(str(fields.get(name, "")).split())


def _typed(field: str) -> str:
    """`rfc822; ann@example.com` without its type."""
    return field.partition(";")[2].strip() or field


def _is_receipt(mail: Message) -> bool:
    return mail.get_content_type() == "multipart/report" and "disposition" in _field(mail, "Content-Type").lower()


def _is_auto_reply(mail: Message) -> bool:
    submitted = _field(mail, "Auto-Submitted").split(";")[0].strip().lower()
    return (
        submitted not in ("", "no")
        or _field(mail, "Precedence").lower() in ("auto_reply", "auto-reply")
        or any(name in mail for name in _AUTO_HEADERS)
    )


def _references(mail: Message) -> tuple[str, ...]:
    """The envelope it came back to, the original's Message-ID, then what the notice itself refers to."""
    found: list[str] = []
    for name in _ENVELOPE_HEADERS:
        for value in mail.get_all(name, [])[:_MAX_REFERENCES]:
            found += _TAGGED.findall(str(value))
    for part in _parts(mail):
        found += _original_ids(part)
    for name in _RELATED_HEADERS:
        found += _MESSAGE_ID.findall(_field(mail, name))
    return tuple(dict.fromkeys(found))[:_MAX_REFERENCES]


def _original_ids(part: Message) -> list[str]:
    kind = part.get_content_type()
    names: tuple[str, ...]
    if kind in _REPORTS or kind == "message/feedback-report":
        groups: list[Message] = list(_blocks(part))
        names = ("X-Original-Message-ID", "Original-Message-ID")
    elif kind in _ORIGINALS:
        groups, names = _headers_of(part), ("Message-ID",)
    else:
        return prose.original_ids(part)
    return [found for group in groups for name in names for found in _MESSAGE_ID.findall(_field(group, name))]


def _headers_of(part: Message) -> list[Message]:
    if part.is_multipart():
        return _inner(part)[:1]
    return [email.message_from_string(prose.text_of(part).lstrip())]
