"""Any Django e-mail backend as a transport: an ESP through django-anymail, or one of your own."""

import email
import email.policy
import inspect
import json
import re
import smtplib
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage as Parsed
from types import FrameType
from typing import Any

import requests
from anymail.backends.base import AnymailBaseBackend
from anymail.backends.base_requests import AnymailRequestsBackend
from anymail.exceptions import (
    AnymailConfigurationError,
    AnymailError,
    AnymailRecipientsRefused,
    AnymailRequestsAPIError,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.filebased import EmailBackend as FileBackend
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.utils.module_loading import import_string

from campaigns.smtp import ENDS, Envelope, Outcome, Stage, Verdict
from campaigns.smtp.outcome import Reply

REFERENCE = "posthaste"
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)
# Services that refuse a mail which carries some.
_WITHOUT_METADATA = {"MailerSend", "Postal"}
# Django makes these itself, from what it is given.
_NOT_HEADERS = {"from", "to", "subject", "reply-to", "mime-version", "content-type", "content-transfer-encoding"} | {
    "dkim-signature"  # made anew for the form that Django gives the message
}
# No address of a service, or no key, that a request can be made with.
_NO_REQUEST = (requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL)
_OURS = (
    AnymailConfigurationError,
    ImproperlyConfigured,
    ConnectionRefusedError,
    smtplib.SMTPConnectError,
    *_NO_REQUEST,
)
_ABOUT_THE_MESSAGE = (AnymailSerializationError, AnymailUnsupportedFeature, ValueError)
# Not allowed, not there, or too fast: of no recipient's making, and nothing was taken.
_REFUSALS = {401, 402, 403, 404, 405, 407, 408, 429, 503}


@dataclass(frozen=True, slots=True)
class Backend:
    """`path` is the dotted path of an e-mail backend, `options` the JSON of its arguments, with their secret.

    `timeout` (seconds) is for a backend that takes one, unless the options name another.
    """

    path: str
    options: str = field(default="{}", repr=False)
    connections: int = 4
    timeout: float = 30.0


class _Signed(EmailMultiAlternatives):
    """A message whose signatures are made of the very form in which Django hands it to a server."""

    sign: Callable[[bytes], bytes] | None = None
    metadata: dict[str, str]

    def message(self, **options: Any) -> Any:
        made = super().message(**options)
        if self.sign is not None:
            form = made.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            for header in self.sign(form).split(b"DKIM-Signature: ")[1:]:
                made["DKIM-Signature"] = " ".join(header.decode().split())
        return made


class BackendSender:
    """Hands one message at a time to a backend and says honestly what is known of it."""

    def __init__(self, transport: Backend) -> None:
        self._transport = transport
        self._connection: BaseEmailBackend | None = None

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = None

    def open(self) -> BaseEmailBackend:
        """The backend, connected; raises whatever it raises."""
        if self._connection is None:
            connection = get_connection(self._transport.path, **arguments(self._transport))
            connection.open()
            self._connection = connection
        return self._connection

    def deliver(self, envelopes: Iterable[Envelope], should_stop: Callable[[], bool]) -> Iterator[tuple[int, Outcome]]:
        """As `smtp.Session.deliver`; nothing is looked ahead."""
        for envelope in envelopes:
            if should_stop():
                yield envelope.key, Outcome(Verdict.NOT_SENT, Stage.DATA, text="Stopped before it left.")
                return
            outcome = self._send(envelope)
            if outcome.verdict in ENDS:
                self.close()
                yield envelope.key, outcome
                return
            yield envelope.key, outcome

    def _send(self, envelope: Envelope) -> Outcome:
        try:
            connection = self.open()
        except Exception as error:
            return Outcome(Verdict.BLOCKED, Stage.CONNECT, text=_text(error))
        try:
            taken = connection.send_messages([as_django(envelope, connection)])
        except Exception as error:
            return judge(error)
        if not taken:
            return Outcome(Verdict.UNCONFIRMED, Stage.DOT, text="The backend did not say that it took the message.")
        return Outcome(Verdict.SENT, Stage.DOT, 250)


def is_backend(path: str) -> bool:
    """Whether the dotted path names an e-mail backend."""
    if not _PATH.fullmatch(path):
        return False
    try:
        found = import_string(path)
    except Exception:  # a module that cannot be imported may fail as it likes
        return False
    return isinstance(found, type) and issubclass(found, BaseEmailBackend)


def arguments(transport: Backend) -> dict[str, Any]:
    """What the backend is made with."""
    options: dict[str, Any] = json.loads(transport.options)
    # Django's own backend would wait for ever, and with it a worker.
    return {"timeout": transport.timeout, **options} if _takes_timeout(import_string(transport.path)) else options


def _takes_timeout(backend: type[BaseEmailBackend]) -> bool:
    """Whether the backend has an argument of that name, itself or by handing on what it does not know."""
    if issubclass(backend, AnymailRequestsBackend):
        return True  # without naming it
    for owner in backend.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters
        if "timeout" in parameters:
            return True
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            return False
    return False


def writes_files(path: str) -> bool:
    """Whether this backend is Django's that writes mails into files, or made of it."""
    return issubclass(import_string(path), FileBackend)


def as_django(envelope: Envelope, connection: BaseEmailBackend | None = None) -> EmailMultiAlternatives:
    """The finished message in Django's form, its texts, headers and Message-ID kept."""
    parsed: Parsed = email.message_from_bytes(envelope.data, policy=email.policy.default)
    plain, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    headers = {name: str(value) for name, value in parsed.items() if name.lower() not in _NOT_HEADERS}
    sender = str(parsed["From"])
    if isinstance(connection, SmtpBackend):
        # Django's way to an envelope of its own. Services have theirs, and other backends may take it for the author.
        headers["From"], sender = sender, envelope.mail_from
    message = _Signed(
        subject=str(parsed["Subject"] or ""),
        body=plain.get_content() if plain is not None else "",
        from_email=sender,
        to=[str(parsed["To"])],
        reply_to=[str(parsed["Reply-To"])] if parsed["Reply-To"] else None,
        headers=headers,
        connection=connection,
    )
    message.sign = envelope.sign
    if html is not None:
        message.attach_alternative(html.get_content(), "text/html")
    if isinstance(connection, AnymailBaseBackend) and connection.esp_name not in _WITHOUT_METADATA:
        # Comes back with what the service tells of this mail by its webhook.
        message.metadata = {REFERENCE: str(parsed["Message-ID"])}
    return message


def judge(error: Exception) -> Outcome:
    """What an exception of a backend means; where nobody can know whether the message was taken, that is said."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return Outcome.of(Stage.RCPT, Reply.parse(code, text.splitlines() or [b""]))
    if isinstance(error, smtplib.SMTPResponseException):
        stage = _stage_of(error)
        said: Any = error.smtp_error
        lines = (said if isinstance(said, bytes) else str(said).encode()).splitlines()
        return Outcome.of(stage, Reply.parse(error.smtp_code, lines or [b""]))
    if isinstance(error, smtplib.SMTPServerDisconnected) and not _had_begun(error):
        return Outcome(Verdict.NOT_SENT, Stage.DATA, text=_text(error))
    if _never_connected(error):
        return Outcome(Verdict.BLOCKED, Stage.CONNECT, text=_text(error))
    if isinstance(error, AnymailRequestsAPIError) and error.status_code:
        return _judge_status(error.status_code, error)
    return _judge_kind(error)


def _judge_kind(error: Exception) -> Outcome:
    if isinstance(error, requests.exceptions.InvalidHeader):
        # Its own words hold the header, which is the key.
        text = "InvalidHeader: the key holds a character that it cannot be sent with, such as the end of a line."
        return Outcome(Verdict.BLOCKED, Stage.CONNECT, text=text)
    if isinstance(error, _OURS):
        return Outcome(Verdict.BLOCKED, Stage.CONNECT, text=_text(error))
    if isinstance(error, AnymailRecipientsRefused):
        return Outcome(Verdict.REJECTED, Stage.RCPT, text=_text(error))
    if isinstance(error, _ABOUT_THE_MESSAGE):
        return Outcome(Verdict.REJECTED, Stage.DATA, text=_text(error))
    return Outcome(Verdict.UNCONFIRMED, Stage.DOT, text=_text(error))


def _stage_of(error: smtplib.SMTPResponseException) -> Stage:
    if isinstance(error, smtplib.SMTPSenderRefused):
        return Stage.MAIL
    return Stage.DOT if isinstance(error, smtplib.SMTPDataError) else Stage.AUTH


def _had_begun(error: Exception) -> bool:
    """Whether smtplib was at the message itself, which leaves in the call of `data`; of others nobody knows."""
    calls = [frame.name for frame in traceback.extract_tb(error.__traceback__) if frame.filename == smtplib.__file__]
    return not calls or "data" in calls


def _never_connected(error: BaseException | None) -> bool:
    """Whether the connection to a service's API was not even made: refused, no such host, its certificate, a proxy."""
    is_request = False
    while error is not None:
        is_request = is_request or isinstance(error, requests.RequestException)
        frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
        if is_request and any(_is_connecting(frame) for frame in frames):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_connecting(frame: FrameType) -> bool:
    return frame.f_code.co_name == "connect" and frame.f_globals.get("__name__") == "urllib3.connection"


def _judge_status(status: int, error: AnymailError) -> Outcome:
    if status in _REFUSALS:
        return Outcome(Verdict.BLOCKED, Stage.CONNECT, status, text=_text(error))
    if 400 <= status < 500:
        return Outcome(Verdict.REJECTED, Stage.DATA, status, text=_text(error))
    return Outcome(Verdict.UNCONFIRMED, Stage.DOT, status, text=_text(error))


def _text(error: Exception) -> str:
    return Reply.parse(0, [f"{type(error).__name__}: {error}".encode()]).text
