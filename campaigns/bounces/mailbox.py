"""A mailbox as its URL says, open for one reading."""

import imaplib
import poplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

_PORTS = {"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}


class MailboxError(Exception):
    """The mailbox cannot be read; the text says why and never holds the password."""


class Mailbox(Protocol):
    """Mails wait here until they are done with, or set aside for a person."""

    def mails(self, limit: int) -> Iterator[tuple[str, bytes]]:
        """(name, content) of up to `limit` mails that were not set aside; a long one is cut."""

    def remove(self, name: str) -> None: ...

    def set_aside(self, name: str) -> None: ...

    def close(self) -> None:
        """Carry out what was asked for, and leave."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a mailbox is. `secure`: encrypted from the first byte; `starttls`: from the login on."""

    kind: str
    host: str
    port: int
    secure: bool
    starttls: bool
    user: str
    password: str = field(repr=False)
    folder: str = "INBOX"


def parse_url(url: str) -> Address:
    """`imaps://user:password@host:port/folder`, `pop3s://…`; without the s in the clear, unless `?starttls=1`.

    Raises MailboxError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise MailboxError("the host or the port is no such thing; write imaps://user:password@host/folder.") from None
    if parts.scheme not in _PORTS:
        raise MailboxError("begin it with imaps://, imap://, pop3s:// or pop3://.")
    if not (parts.hostname and parts.username and parts.password):
        raise MailboxError("give host, user and password: imaps://user:password@host/folder.")
    options = parse_qs(parts.query, keep_blank_values=True)
    if set(options) - {"starttls"}:
        raise MailboxError(f"{sorted(set(options) - {'starttls'})[0]!r} is no option; there is starttls=1.")
    user, password, folder = (unquote(text) for text in (parts.username, parts.password, parts.path.strip("/")))
    if not (user + password + folder).isprintable():
        raise MailboxError("user, password or folder hold a control character.")
    secure = parts.scheme.endswith("s")
    starttls = options.get("starttls") == ["1"]
    kind = parts.scheme.removesuffix("s")
    return Address(
        kind, parts.hostname, port or _PORTS[parts.scheme], secure, starttls, user, password, folder or "INBOX"
    )


@contextmanager
def open_mailbox(url: str, timeout: float) -> Iterator[Mailbox]:
    """The mailbox, logged in; certificates are checked. Raises MailboxError, also for what goes wrong within."""
    from campaigns.bounces.imap import ImapMailbox
    from campaigns.bounces.pop3 import Pop3Mailbox

    address = parse_url(url)
    opener: type[ImapMailbox] | type[Pop3Mailbox] = ImapMailbox if address.kind == "imap" else Pop3Mailbox
    where = f"{address.host}:{address.port}"
    try:
        mailbox = opener(address, timeout)
        try:
            yield mailbox
        finally:
            mailbox.close()
    except ssl.SSLError as error:
        raise MailboxError(f"{where}: no encrypted connection ({error.reason or error}).") from None
    except TimeoutError:
        raise MailboxError(f"{where} did not answer within {timeout:g} s.") from None
    except OSError as error:
        raise MailboxError(f"{where} cannot be reached: {error.strerror or error}.") from None
    except (imaplib.IMAP4.error, poplib.error_proto) as error:
        raise MailboxError(f"{where} said: {_said(error)}") from None


def _said(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    text = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
    return text[:300].removeprefix("-ERR ")
