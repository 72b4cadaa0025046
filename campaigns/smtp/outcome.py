"""What became of a message, and whose business a refusal is: the recipient's, the message's or ours."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

MAX_TEXT = 500

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# We are not logged in, or server and client do not understand each other: no recipient can help it.
_OUR_CODES = {500, 502, 503, 504, 530, 534, 535, 538}
_BAD_SENDER = {"5.1.7", "5.1.8"}
_TOO_BIG = "5.3.4"
NO_SUCH_MAILBOX = {"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.10", "5.2.1"}


class Stage(StrEnum):
    """The step of the conversation a reply belongs to; DOT is the end of the message's body."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


# A refusal of us in answer to these may still be about the one recipient.
_PERSONAL = {Stage.RCPT, Stage.DATA, Stage.DOT}
_BEFORE_MAIL = {Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH}


class Verdict(StrEnum):
    """SENT: accepted. DEFERRED: try this one again later. REJECTED: never takes this message or mailbox.

    BLOCKED: refused because of us (login, policy, sender, connection), so that every further message would be too.
    UNCONFIRMED: the whole message left, its answer did not come; it may or may not have been accepted.
    NOT_SENT: the message was not handed over whole; sending it again is safe.
    """

    SENT = "sent"
    DEFERRED = "deferred"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    UNCONFIRMED = "unconfirmed"
    NOT_SENT = "not_sent"


class Reply(NamedTuple):
    """One answer of a server: code, enhanced code ("" if none), the text on one line."""

    code: int
    enhanced: str
    text: str

    @classmethod
    def parse(cls, code: int, lines: list[bytes]) -> "Reply":
        texts = [_CONTROLS.sub(" ", line.decode("utf-8", "replace")).strip() for line in lines]
        match = _ENHANCED.match(texts[0])
        enhanced = match[1] if match and match[1][0] == str(code)[0] else ""
        if enhanced:
            texts = [text.removeprefix(enhanced) for text in texts]
        return cls(code, enhanced, " ".join(" ".join(texts).split())[:MAX_TEXT])


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict and what it rests on. `code` is 0 and `enhanced` empty where no server has spoken."""

    verdict: Verdict
    stage: Stage
    code: int = 0
    enhanced: str = ""
    text: str = ""

    @property
    def personal(self) -> bool:
        """Whether it was said in answer to one recipient's message, and not to us before there was any."""
        return self.stage in _PERSONAL

    @property
    def hard(self) -> bool:
        """Whether the mailbox does not exist, so that the address should not be tried by any campaign."""
        if self.verdict is not Verdict.REJECTED:
            return False
        if self.enhanced:
            return self.enhanced in NO_SUCH_MAILBOX
        return self.stage is Stage.RCPT and self.code in (550, 551, 553)

    @classmethod
    def of(cls, stage: Stage, reply: Reply) -> "Outcome":
        """The outcome for a message whose `stage` was answered by `reply`."""
        return cls(classify(stage, reply.code, reply.enhanced), stage, *reply)


def classify(stage: Stage, code: int, enhanced: str = "") -> Verdict:
    """SENT, DEFERRED, REJECTED or BLOCKED for a reply to `stage`; `enhanced` is the RFC 3463 code or ""."""
    if stage is Stage.DOT and 200 <= code < 300:
        return Verdict.SENT
    if stage in _BEFORE_MAIL:
        return Verdict.BLOCKED
    if stage is Stage.MAIL:
        return Verdict.REJECTED if code == 552 or enhanced == _TOO_BIG else Verdict.BLOCKED
    if enhanced.startswith("5.7.") or enhanced in _BAD_SENDER or code in _OUR_CODES:
        return Verdict.BLOCKED
    return Verdict.DEFERRED if 400 <= code < 500 else Verdict.REJECTED
