"""What a mail that came back says about one of ours."""

import re
from dataclasses import dataclass
from enum import StrEnum

from campaigns.smtp import Outcome, Stage, Verdict
from campaigns.smtp.outcome import MAX_TEXT, Reply, blames_us, tells

_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])", re.ASCII)
# Where the words of a server begin: at once, or after who said it, as in "smtp; 550" and "host [192.0.2.7]: 550".
_CODE = re.compile(r"(?:^|[;:])\s*([245]\d\d)(?=[ -]|$)", re.ASCII | re.MULTILINE)


class Kind(StrEnum):
    """HARD: there is no such mailbox. REFUSED: returned because of us, such as by policy or a blocklist.

    SOFT: returned for another reason. DELAYED: the server goes on trying. DELIVERED: it arrived, or went on.
    COMPLAINED: its reader called it spam. AUTO_REPLY: a machine answered, such as a holiday notice or a receipt.
    UNKNOWN: none of these; a person may want to see it.
    """

    HARD = "hard"
    REFUSED = "refused"
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
    """A delivery that failed for good, judged as the same words are in an SMTP conversation.

    Hard is only what says that the mailbox does not exist: a full one, a policy or a time-out says nothing about that.
    """
    found = _CODE.search(diagnostic)
    code = int(found[1]) if found else None
    if not tells(status):  # the words of the server may
        said = _STATUS.search(diagnostic)
        status = said[1] if said else status
    # Before the code stands who said it, and the name of a host may be any word.
    words = _on_one_line(diagnostic[found.end() :] if found else diagnostic)
    text = _on_one_line(diagnostic) or status
    return Notice(_kind(status, code, words), (), recipient, status, code, text)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_TEXT]


def _kind(status: str, code: int | None, words: str) -> Kind:
    reply = Reply(code or (450 if status.startswith("4.") else 550), status, words)
    said = Outcome.of(Stage.RCPT, reply)
    if said.hard:
        return Kind.HARD
    # Put off until the server gave up: by a policy (4.7), or in words; a full mailbox (4.2) is nobody's blame.
    gave_up_on_us = said.verdict is Verdict.DEFERRED and (
        status.startswith("4.7.") or (not status.startswith("4.2.") and blames_us(words))
    )
    return Kind.REFUSED if said.verdict is Verdict.BLOCKED or gave_up_on_us else Kind.SOFT


def status_of(field: str) -> str:
    """The code out of a Status field such as `5.1.1 (bad mailbox)`; "" when there is none."""
    match = _STATUS.match(field.strip())
    return match[1] if match else ""
