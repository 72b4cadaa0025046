"""take_notice: a mail that came back, and what it means for the recipient it is about."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from campaigns import conf, lifecycle
from campaigns.bounces import Kind, Notice, parse
from campaigns.lifecycle import Happened
from campaigns.message import parse_message_id
from campaigns.models import Recipient
from campaigns.services.suppress import keep_off
from campaigns.states import EventKind, RecipientState, SuppressionReason

_EVENTS = {
    **dict.fromkeys((Kind.HARD, Kind.SOFT, Kind.REFUSED), EventKind.BOUNCED),
    Kind.COMPLAINED: EventKind.COMPLAINED,
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What was read, about whom (None: no mail of ours), and whether that was news and the address is suppressed now.

    `early`: the mail is still in the hands of its sender; read the notice again later.
    """

    notice: Notice
    recipient_id: int | None = None
    new: bool = False
    suppressed: bool = False
    early: bool = False

    @property
    def understood(self) -> bool:
        """Whether nobody needs to look at it any more."""
        ours = self.recipient_id is not None
        return not self.early and (ours or self.notice.kind is Kind.AUTO_REPLY) and self.notice.kind is not Kind.UNKNOWN


def take_notice(raw: bytes) -> Taken:
    """Read a bounce or complaint (any bytes) and act on it: an event, the recipient's state, the suppression list.

    Only a notice with a signed reference of ours changes anything, and only for the recipient of that mail; the same
    notice twice counts once, for each time the mail was sent. Delays, receipts and automatic answers change nothing.
    """
    return act_on(parse(raw))


def act_on(notice: Notice) -> Taken:
    """The same for what was told in another way than by a mail."""
    with transaction.atomic():
        recipient = recipient_of_references(notice.references)
        if recipient is None:
            return Taken(notice)
        kind = _EVENTS.get(notice.kind)
        if kind is None:
            return Taken(notice, recipient.pk)
        if recipient.state == RecipientState.SENDING:
            return Taken(notice, recipient.pk, early=True)
        # A mail that was sent again may come back again. All mails of a row have one Message-ID; its attempts differ.
        source = f"{notice.kind}:{recipient.pk}:{recipient.attempts}"
        new = lifecycle.record_events([Happened(recipient.pk, kind, notice.code, _detail(notice), source_id=source)])
        return Taken(notice, recipient.pk, bool(new), bool(new) and _suppress(recipient, notice))


def recipient_of_references(references: Sequence[str]) -> Recipient | None:
    """The recipient of the mail, by the first genuine reference."""
    # Mail that left before the key was changed comes back with the old one.
    keys = [str(key).encode() for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    for reference in references:
        found = parse_message_id(reference, keys)
        if found and all(0 < number < 2**63 for number in found):
            campaign_id, recipient_id = found
            return Recipient.objects.filter(pk=recipient_id, campaign_id=campaign_id).first()
    return None


def _detail(notice: Notice) -> str:
    told = notice.text
    if notice.status and notice.status not in told:
        told = f"{notice.status} {told}"
    return told


def _suppress(recipient: Recipient, notice: Notice) -> bool:
    """Onto the list, where the notice is reason enough. Returns whether it was put there; an earlier reason stays."""
    if notice.kind is Kind.REFUSED:
        # A blocklist that lasts would take everybody at that provider off for good, who can help it least.
        return False
    if notice.kind is Kind.SOFT and _soft_bounces(recipient.key) < conf.get("SOFT_BOUNCES"):
        return False
    complained = notice.kind is Kind.COMPLAINED
    source = {Kind.HARD: "bounce", Kind.SOFT: "repeated soft bounces", Kind.COMPLAINED: "complaint"}[notice.kind]
    reason = SuppressionReason.COMPLAINED if complained else SuppressionReason.BOUNCED
    return keep_off(recipient, reason, f"{source} {notice.status}".strip())


_COUNT = """
INSERT INTO soft_bounces AS s (key, count) VALUES (%s, 1)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN s.since < now() - make_interval(days => %s) THEN 1 ELSE s.count + 1 END,
    since = CASE WHEN s.since < now() - make_interval(days => %s) THEN now() ELSE s.since END
RETURNING count
"""


def _soft_bounces(key: str) -> int:
    """This one included, how many there were since the first within the window."""
    days = int(conf.get("SOFT_BOUNCE_DAYS"))
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [key, days, days])
        return int(cursor.fetchone()[0])
