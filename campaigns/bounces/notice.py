"""What a mail that came back says about one of ours."""

import re
from dataclasses import dataclass
from enum import StrEnum

from campaigns.smtp.outcome import MAX_TEXT, NO_SUCH_MAILBOX

_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])", re.ASCII)
_CODE = re.compile(r"(?<![\d.])([245]\d\d)(?=[ -])", re.ASCII)
_NO_MAILBOX_CODES = (550, 551, 553)


class Kind(StrEnum):
    """HARD: there is no such mailbox. SOFT: returned for another reason. DELAYED: the server goes on trying.

    DELIVERED: it arrived, or went on. COMPLAINED: its reader called it spam. AUTO_REPLY: a machine answered, such as a
    holiday notice or a receipt. UNKNOWN: none of these; a person may want to see it.
    """

    HARD = "hard"
    SOFT = "soft"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    COMPLAINED = "complained"
    AUTO_REPLY = "auto_reply"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Notice:
    """`references`: Message-IDs and envelope addresses that may be ours; their signature tells.

    `recipient`: the address the reporting server names. `status`: the RFC 3463 code, `code`: the SMTP reply, if told.
    """

    kind: Kind
    references: tuple[str, ...] = ()
    recipient: str = ""
    status: str = ""
    code: int | None = None
    text: str = ""


def failure(status: str, diagnostic: str, recipient: str = "") -> Notice:
    """A delivery that failed for good, with what is known of the reason.

    Hard is only what says that the mailbox does not exist: a full one, a policy or a time-out says nothing about that.
    """
    found = _CODE.search(diagnostic)
    code = int(found[1]) if found else None
    if not status or status.endswith(".0.0"):  # says nothing; the words of the server may
        said = _STATUS.search(diagnostic)
        status = said[1] if said else status
    vague = not status or status.endswith(".0.0")
    hard = code in _NO_MAILBOX_CODES if vague else status in NO_SUCH_MAILBOX
    text = " ".join(diagnostic.split())[:MAX_TEXT] or status
    return Notice(Kind.HARD if hard else Kind.SOFT, (), recipient, status, code, text)


def status_of(field: str) -> str:
    """The code out of a Status field such as `5.1.1 (bad mailbox)`; "" when there is none."""
    match = _STATUS.match(field.strip())
    return match[1] if match else ""
