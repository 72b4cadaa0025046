"""MIME messages: what is the same for a whole campaign is built once, what differs is filled in per recipient."""

import binascii
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr, getaddresses
from functools import lru_cache

from campaigns.addresses import AddressError, parse_address
from campaigns.quoted import Quoted

MAX_LINE = 998  # bytes without CRLF, RFC 5322, 2.1.1
FOLD_AT = 78
# RFC 5321 allows 64 before the @: a +, 7 digits of a campaign, 11 of a recipient, 16 of the mac and two points go off.
BOUNCE_NAME_MAX = 27

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
# Line ends would let a value write headers of its own; the other controls are never meant.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# A name that needs neither quotes nor encoding (RFC 5322, 3.2.3; "=" may open an encoded word).
_ATOMS = re.compile("[A-Za-z0-9!#$%&'*+/?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/?^_`{|}~-]+)*")
_WORDS = re.compile(r"[ \t]*[^ \t]+")
_MESSAGE_ID = re.compile(r"<?(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})\.([0-9a-f]{16})@[^<>\s]+>?", re.ASCII)
# Written by us, by the relay, or able to send the message elsewhere.
_OWN_HEADERS = {
    *("to", "cc", "bcc", "from", "sender", "reply-to", "return-path", "subject", "date", "message-id"),
    *("mime-version", "received", "received-spf", "authentication-results", "delivered-to"),
}
_OWN_PREFIXES = ("content-", "dkim-", "arc-", "resent-", "domainkey-")


class MessageError(ValueError):
    """The message cannot be built; the text says which part of it has to be changed."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is one recipient's own: rendered texts, bare address, aware date, Message-ID with its angle brackets.

    `html` and `text` are in the pieces they were made of, whose sum they are.
    """

    to: str
    subject: str
    html: tuple[str, ...]
    text: tuple[str, ...]
    message_id: str
    date: datetime
    to_name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Skeleton:
    """The lasting part of a campaign's messages.

    `from_email` and `reply_to` may carry names: `Jo Doe <jo@example.com>`; `reply_to` may list several. `lasting` are
    pieces of text that many of the letters have. Raises MessageError for addresses and headers that must not be sent.
    """

    def __init__(
        self,
        from_email: str,
        reply_to: str = "",
        headers: Mapping[str, str] | None = None,
        lasting: Iterable[str] = (),
    ) -> None:
        senders = _mailboxes("From", from_email)
        if len(senders) != 1:
            raise MessageError("From: give exactly one address.")
        # The bare address: the envelope's sender, and the domain of the Message-IDs.
        self.sender = parse_address(getaddresses([from_email])[0][1])
        self._opening = _folded("From", senders[0])
        fixed = [_folded("Reply-To", ", ".join(_mailboxes("Reply-To", reply_to)))] if reply_to else []
        fixed += [_extra_header(name, value) for name, value in (headers or {}).items()]
        self._fixed = "".join(fixed) + "MIME-Version: 1.0\r\n"
        self._taken = frozenset(name.lower() for name in headers or {})
        self._boundary = b"=_" + secrets.token_hex(16).encode()
        self._quoted = Quoted([*lasting, "\n"])

    def build(self, letter: Letter, *, eight_bit: bool = False) -> bytes:
        """The finished message: CRLF line ends, no line over 998 bytes, text and HTML as alternatives.

        Plain ASCII goes as it is, other text as quoted-printable or base64; with `eight_bit` UTF-8 goes as it is,
        which only a server offering 8BITMIME takes. Raises MessageError when a value cannot be sent.
        """
        if letter.message_id[:1] != "<" or letter.message_id[-1:] != ">":
            raise MessageError(f"Message-ID: write it in angle brackets, not as {letter.message_id!r}.")
        head = [
            self._opening,
            _recipient(letter.to, letter.to_name),
            _header("Subject", letter.subject.strip()),
            _date(letter.date.replace(microsecond=0)),
            _plain("Message-ID", letter.message_id),
            *[self._own_header(name, value) for name, value in letter.headers.items()],
            self._fixed,
        ]
        has_text, has_html = any(letter.text), any(letter.html)
        bodies = [("plain", letter.text)] if has_text or not has_html else []
        bodies += [("html", letter.html)] if has_html else []
        parts = [self._part(subtype, body, eight_bit=eight_bit) for subtype, body in bodies]
        return "".join(head).encode("ascii") + (parts[0] if len(parts) == 1 else self._alternatives(parts))

    def _own_header(self, name: str, value: str) -> str:
        if name.lower() in self._taken:
            raise MessageError(f"{name}: is already a header of the campaign; set it in one place only.")
        return _extra_header(name, value)

    def _part(self, subtype: str, pieces: tuple[str, ...], *, eight_bit: bool) -> bytes:
        """Headers, blank line and content of one text part; the content ends with a line end."""
        body = "".join(pieces)
        if "\r" in body:
            body = body.replace("\r\n", "\n").replace("\r", "\n")
            pieces = (body,)
        if not body.endswith("\n"):
            body += "\n"
            pieces = (*pieces, "\n")
        try:
            data = body.encode()
        except UnicodeEncodeError:
            raise MessageError(f"The {subtype} part has characters that are no text; correct the template.") from None
        encoding, data = self._transfer(data, pieces, characters=len(body), eight_bit=eight_bit)
        head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
        return head.encode() + data

    def _transfer(self, data: bytes, pieces: tuple[str, ...], *, characters: int, eight_bit: bool) -> tuple[str, bytes]:
        """The name of the cheapest encoding that survives the way, and `data`, which is these `pieces`, in it."""
        has_nul, is_ascii = b"\x00" in data, len(data) == characters
        if (is_ascii or eight_bit) and not has_nul and max(map(len, data.split(b"\n"))) <= MAX_LINE:
            return ("7bit" if is_ascii else "8bit"), data.replace(b"\n", b"\r\n")
        # Quoted-printable stays readable and searchable, but takes three characters for every byte beyond ASCII.
        if not has_nul and (len(data) - characters) * 12 <= len(data):
            return "quoted-printable", self._quoted.encode(pieces)
        packed = binascii.b2a_base64(data.replace(b"\n", b"\r\n"), newline=False)
        return "base64", b"\r\n".join([packed[i : i + 76] for i in range(0, len(packed), 76)]) + b"\r\n"

    def _alternatives(self, parts: list[bytes]) -> bytes:
        boundary = self._boundary
        while any(boundary in part for part in parts):
            boundary = b"=_" + secrets.token_hex(16).encode()
        opening = b'Content-Type: multipart/alternative; boundary="%b"\r\n\r\n' % boundary
        return opening + b"".join([b"--%b\r\n%b\r\n" % (boundary, part) for part in parts]) + b"--%b--\r\n" % boundary


def message_id(campaign_id: int, recipient_id: int, domain: str, key: bytes) -> str:
    """`<campaign.recipient.mac@domain>`: always the same for one row; nobody without `key` can make one up."""
    return f"<{campaign_id}.{recipient_id}.{_mac(campaign_id, recipient_id, key)}@{domain}>"


def return_path(bounce_address: str, message_id: str) -> str:
    """`name+reference@domain`: where a bounce of this very message comes back to; parse_message_id knows its end."""
    name, _, domain = bounce_address.rpartition("@")
    return f"{name}+{message_id[1:].partition('@')[0]}@{domain}"


def parse_message_id(value: str, keys: Sequence[bytes]) -> tuple[int, int] | None:
    """(campaign id, recipient id) out of a Message-ID made with one of these keys, with or without brackets.

    None when it is not ours.
    """
    match = _MESSAGE_ID.fullmatch(value.strip())
    if match is None:
        return None
    campaign_id, recipient_id = int(match[1]), int(match[2])
    genuine = [hmac.compare_digest(match[3], _mac(campaign_id, recipient_id, key)) for key in keys]
    return (campaign_id, recipient_id) if any(genuine) else None


def _mac(campaign_id: int, recipient_id: int, key: bytes) -> str:
    return hmac.digest(key, b"%d.%d" % (campaign_id, recipient_id), "sha256")[:8].hex()


def _extra_header(name: str, value: str) -> str:
    _check_name(name)
    # An encoded word in a List-… header is no URL any more: one-click unsubscribe would silently stop working.
    if name[:5].lower() == "list-" and name.lower() != "list-id":
        if not value.isascii():
            raise MessageError(f"{name}: use ASCII only; percent-encode the URL.")
        return _plain(name, value)
    return _header(name, value.strip())


@lru_cache(maxsize=1024)
def _check_name(name: str) -> None:
    lowered = name.lower()
    if not _HEADER_NAME.fullmatch(name):
        raise MessageError(f"{name!r} is not a header name; use letters, digits and hyphens.")
    if lowered in _OWN_HEADERS or lowered.startswith(_OWN_PREFIXES):
        raise MessageError(f"{name}: this header cannot be set by hand; remove it.")


@lru_cache(maxsize=16)
def _date(at: datetime) -> str:
    return f"Date: {format_datetime(at)}\r\n"


def _header(name: str, value: str) -> str:
    # "=?" opens an encoded word: a reader would decode a value that only looks like one.
    if value.isascii() and "=?" not in value:
        return _plain(name, value)
    return _encoded(name, value)


def _plain(name: str, value: str) -> str:
    _check_value(name, value)
    if len(name) + 2 + len(value) <= FOLD_AT:
        return f"{name}: {value}\r\n"
    return _folded(name, value)


def _check_value(name: str, value: str) -> None:
    if _CONTROLS.search(value):
        raise MessageError(f"{name}: remove the line break or control character from {value[:80]!r}.")


# A subject is mostly the same for many recipients in a row, and encoding it costs more than the rest of the head.
@lru_cache(maxsize=256)
def _encoded(name: str, value: str) -> str:
    _check_value(name, value)
    return _folded(name, _encoded_words(value, name))


def _encoded_words(value: str, header: str) -> str:
    """RFC 2047 words of at most 75 characters with blanks between; the first leaves room for the header's name."""
    return Header(value, "utf-8", maxlinelen=76, header_name=header).encode(linesep="")


def _folded(name: str, value: str) -> str:
    """One header, broken before blanks only, so that URLs, addresses and encoded words stay whole."""
    opening = line = f"{name}:"
    lines = []
    for word in _WORDS.findall(" " + value.rstrip(" \t")):
        if len(line) + len(word) > FOLD_AT and line != opening:
            lines.append(line)
            line = ""
        line += word
    lines.append(line)
    if any(len(line) > MAX_LINE for line in lines):
        raise MessageError(f"{name}: has a word of over {MAX_LINE} characters; shorten it.")
    return "\r\n".join(lines) + "\r\n"


def _recipient(email: str, name: str) -> str:
    try:
        address = parse_address(email).email
    except AddressError as error:
        raise MessageError(f"To: {email[:80]!r} cannot be mailed ({error.reason}); correct the address.") from None
    if not name:
        return f"To: {address}\r\n"
    if _ATOMS.fullmatch(name) and len(name) + len(address) <= FOLD_AT - len("To:  <>"):
        return f"To: {name} <{address}>\r\n"
    return _folded("To", _mailbox("To", name, address))


def _mailbox(header: str, name: str, email: str) -> str:
    _check_value(header, name)
    name = " ".join(name.split())
    if name.isascii() and "=?" not in name and len(name) <= MAX_LINE // 4:
        return formataddr((name, email))
    return f"{_encoded_words(name, header)} <{email}>"


def _mailboxes(header: str, raw: str) -> list[str]:
    """Every `Name <address>` of a comma-separated list, ready for a header."""
    _check_value(header, raw)
    try:
        return [_mailbox(header, name, parse_address(email).email) for name, email in getaddresses([raw])]
    except AddressError as error:
        what = "sender address" if header == "From" else "address for answers"
        raise MessageError(f"{header}: {raw[:80]!r} is no valid {what} ({error.reason}); correct it.") from None
