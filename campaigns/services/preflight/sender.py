"""Whom the mails come from, whether we may sign for them, and who gets the answers."""

from collections.abc import Iterator

from campaigns import mailer
from campaigns.dkim import KeyProblem
from campaigns.message import MessageError, Skeleton
from campaigns.models import Campaign
from campaigns.services.preflight.item import Item, block, note, ok, warn

# Only its form counts, when the answer address is looked at by itself.
_ANY_SENDER = "sender@example.com"
# RFC 2606 and 6761: no mail server will ever answer for these.
_RESERVED = ("example.com", "example.net", "example.org", "example", "test", "invalid", "localhost", "local")


def sender(campaign: Campaign) -> Iterator[Item]:
    try:
        domain = Skeleton(campaign.from_email).sender.domain
    except MessageError as exc:
        yield block("sender", f"The sender cannot be used: {exc}")
        return
    if any(domain == name or domain.endswith(f".{name}") for name in _RESERVED):
        yield warn("sender", f"The sender's domain {domain} is for examples only: real mail from it is refused.")
    else:
        yield ok("sender", f"Mails come from {campaign.from_email}.")
    yield from _signing(domain)


def _signing(domain: str) -> Iterator[Item]:
    try:
        signers = mailer.signers_of(domain)
    except KeyProblem as exc:
        yield block("signing", f"The mails cannot be signed: {exc}")
        return
    if signers:
        yield ok("signing", "Mails are signed with DKIM.")
    else:
        detail = "The large mailbox providers ask for it: add a key, unless your mail server signs."
        yield note("signing", f"Mails are not signed here: there is no DKIM key for {domain}.", detail)


def reply_to(campaign: Campaign) -> Iterator[Item]:
    try:
        Skeleton(_ANY_SENDER, campaign.reply_to)
    except MessageError as exc:
        yield block("reply_to", f"The address for answers cannot be used: {exc}")
    else:
        yield ok("reply_to", f"Answers go to {campaign.reply_to or 'the sender'}.")
