"""What became of a message, and whose business a refusal is: the recipient's, the message's or ours."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

MAX_TEXT = 500

# At the beginning, where RFC 2034 has it, or in the text, as in "#5.1.1" and "(#5.7.1)"; no part of an IP address.
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Of whom or what, not what is said of them: an address or a host may be made of any words.
_NAMES = re.compile(
    r"[^\s<>@]+@[^\s<>]+|[\w.-]+\[[\da-f.:]+\](?::\d+)?|(?<![\w.-])(?=[\d.]*[a-z_-])[\w-]+(?:\.[\w-]+){2,}",
    re.IGNORECASE,
)
# Without an enhanced code only the words tell whom a refusal is about: those of Exim, qmail, Postfix, Yahoo and others.
_NOBODY = re.compile(
    r"\b(?:no such|unknown|invalid|non-?existent) (?:local )?(?:user|mailbox|recipient|account|person|address|alias)\b"
    r"|\b(?:user|mailbox|recipient|account|address)\b.{0,60}"
    r"(?:n't exist|\b(?:unknown|not (?:exist|found|known)|no longer|disabled|inactive|closed|unrouteable))\b"
    r"|\bno mailbox\b|\bunrouteable address\b|\buser doesn't have an?\b",
    re.IGNORECASE,
)
_US = re.compile(
    r"\brelay|\bblack ?list|\bblock ?list|\bblocked\b|\bbanned\b|\bspam|\bdnsbl|\brbl\b|\breputation\b"
    r"|\bpolic(?:y|ies)\b|\bnot (?:permitted|allowed|authori[sz]ed)\b|\bauthenticat|\bspf\b|\bdkim\b|\bdmarc\b"
    r"|\brcpthosts\b|\b(?:your|client|sender|sending) (?:ip|host|server|network|domain)\b"
    r"|\bmessages from \d|\baccess denied\b|\bhelo\b",
    re.IGNORECASE,
)
# Said of the other end of the mail, our address or account, for which servers have the same codes and nouns.
_SENDER = re.compile(
    r"\b(?:invalid|unknown|bad|unverified|rejected|blocked|forbidden) (?:envelope )?sender\b"
    r"|\bsender\b.{0,40}\b(?:reject|denied|refus|verif|invalid|unknown|not |unrouteable|fail|block|black|limit|exceed)"
    r"|\benvelope (?:sender|from|blocked)\b|\breturn[- ]?path\b.{0,40}\b(?:reject|invalid|unknown|not |fail)"
    r"|(?<!recipient )\bverif(?:y|ication) failed\b|\bpassword\b|\byour (?:e-?mail )?(?:account|user|address|domain)\b"
    r"|\bfrom (?:unknown )?(?:address|user|domain)\b|\bto send (?:e-?)?(?:mails?|messages?)\b",
    re.IGNORECASE,
)
# Too much from us, and not of one recipient's.
_TOO_FAST = re.compile(
    r"\bthrottl|\brate[- ]?limit|\btoo many (?:e-?mails|messages|connections|requests|concurrent)\b|\btoo fast\b"
    r"|\b(?:daily|hourly|message|sending|sender) (?:\w+ ){0,2}(?:quota|limit)|\byour ip\b|\breputation\b",
    re.IGNORECASE,
)
# But this is theirs, who get more than their mailbox may hold.
_OF_MAILBOX = re.compile(
    r"\b(?:for|of|in|to) (?:this |the )?(?:user|recipient|mailbox|inbox|account)\b|\b(?:mailbox|inbox|recipient'?s?)\b"
    r"(?: \w+){0,2} (?:quota|limit|size|count)\b",
    re.IGNORECASE,
)
_GREYLISTED = re.compile(r"\bgr[ea]y[- ]?list", re.IGNORECASE)
# Gmail says so with 5.2.1, which else is a mailbox that is closed.
_BUSY = re.compile(r"\bat a rate\b|\btoo quickly\b", re.IGNORECASE)
# We are not logged in, or server and client do not understand each other: no recipient can help it.
_OUR_CODES = {421, 454, 500, 502, 503, 504, 530, 534, 535, 538}
_BAD_SENDER = {"5.1.7", "5.1.8"}
_TOO_BIG = "5.3.4"
_NO_MAILBOX_CODES = {511, 550, 551, 552, 553, 554}
_NO_SUCH_MAILBOX = {"5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.10", "5.2.1"}
# "Some address", of sender or recipient.
_ANY_ADDRESS = "5.1.0"
_CLOSED = "5.2.1"


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
BEFORE_MAIL = {Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH}


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
        match = _ENHANCED.search(texts[0])
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
    def words(self) -> str:
        """What was said, with its enhanced code in front."""
        return self.text if self.enhanced in self.text else f"{self.enhanced} {self.text}".strip()

    @property
    def personal(self) -> bool:
        """Whether it was said in answer to one recipient's message, and not to us before there was any."""
        return self.stage in _PERSONAL

    @property
    def hard(self) -> bool:
        """Whether the mailbox does not exist, so that the address should not be tried by any campaign.

        Only where that is said: a server that wants no mail of ours at all often answers 550 and nothing else.
        """
        if self.verdict is not Verdict.REJECTED:
            return False
        # x.y.0: of this kind, and nothing more.
        if self.enhanced and not self.enhanced.endswith(".0"):
            return self.enhanced in _NO_SUCH_MAILBOX
        return self.stage is Stage.RCPT and self.code in _NO_MAILBOX_CODES and bool(_NOBODY.search(words_of(self.text)))

    @property
    def vague(self) -> bool:
        """Whether it is a refusal for good that does not say whom it is about: this recipient, or us.

        So are those of a service's API (an HTTP status), and of a backend that made no request at all (0).
        """
        if self.verdict is not Verdict.REJECTED or tells(self.enhanced) or _NOBODY.search(words_of(self.text)):
            return False
        return self.code in (550, 551, 553, 554) or (self.stage is Stage.DATA and self.code < 500)

    @classmethod
    def of(cls, stage: Stage, reply: Reply) -> "Outcome":
        """The outcome for a message whose `stage` was answered by `reply`."""
        return cls(classify(stage, *reply), stage, *reply)


def classify(stage: Stage, code: int, enhanced: str = "", text: str = "") -> Verdict:
    """SENT, DEFERRED, REJECTED or BLOCKED for a reply to `stage`; `enhanced` is the RFC 3463 code or ""."""
    if stage is Stage.DOT and 200 <= code < 300:
        return Verdict.SENT
    if stage in BEFORE_MAIL:
        return Verdict.BLOCKED
    if stage is Stage.MAIL:
        return Verdict.REJECTED if code == 552 or enhanced == _TOO_BIG else Verdict.BLOCKED
    if _is_about_us(code, enhanced, text):
        return Verdict.BLOCKED
    is_later = 400 <= code < 500 or (enhanced == _CLOSED and bool(_BUSY.search(text)))
    return Verdict.DEFERRED if is_later else Verdict.REJECTED


def tells(enhanced: str) -> bool:
    """Whether an RFC 3463 code says why; x.0.0 and 5.1.0 are what servers write that do not know or do not say."""
    return enhanced not in ("", _ANY_ADDRESS) and not enhanced.endswith(".0.0")


def words_of(text: str) -> str:
    """What is said, without the addresses and the hosts it names."""
    return _NAMES.sub(" ", text)


def blames_us(text: str) -> bool:
    """Whether the words of a refusal are about who sends, or what, and not about the mailbox."""
    words = words_of(text)
    return bool(_SENDER.search(words)) or (bool(_US.search(words)) and not _NOBODY.search(words))


def _is_about_us(code: int, enhanced: str, text: str) -> bool:
    # 4.3: the state of their system (disk, load), which no recipient can help.
    if code in _OUR_CODES or enhanced.startswith(("5.7.", "4.3.")) or enhanced in _BAD_SENDER:
        return True
    if code < 500:
        return _is_about_us_for_now(enhanced, text)
    if enhanced in _NO_SUCH_MAILBOX:
        return bool(_SENDER.search(words_of(text)))
    return not tells(enhanced) and blames_us(text)


def _is_about_us_for_now(enhanced: str, text: str) -> bool:
    words = words_of(text)
    # 4.2: their mailbox, which may be full or get too much. Greylisting passes by itself.
    if enhanced.startswith("4.2.") or _GREYLISTED.search(words) or _OF_MAILBOX.search(words):
        return False
    return bool(_TOO_FAST.search(words) or _SENDER.search(words)) or (enhanced.startswith("4.7.") and blames_us(text))
