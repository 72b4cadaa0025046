"""Delivering envelopes over one connection at a time, each of them at most once."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from campaigns.smtp.connection import Connection, Refused
from campaigns.smtp.outcome import Outcome, Reply, Stage, Verdict
from campaigns.smtp.transport import Transport
from campaigns.smtp.wire import Lost

_PATH = re.compile(r"[!-;=?-~]*")
_BARE_LINE_END = re.compile(rb"\r\n|\r|\n")
# A server that scans or delivers before it answers takes its time; giving up earlier leaves mails in doubt it took.
_PATIENCE = 4.0
# Whatever comes after one of these would meet the same, so the iteration ends.
ENDS = {Verdict.BLOCKED, Verdict.UNCONFIRMED, Verdict.NOT_SENT}


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message to one mailbox. `key` is the caller's; addresses are ASCII without brackets; `data` is MIME.

    `sign` makes the signatures of a message, for a sender that has to build it in another form. `is_canonical`: all
    line ends of `data` are CRLF, which whoever built it knows.
    """

    key: int
    mail_from: str
    rcpt_to: str
    data: bytes
    sign: Callable[[bytes], bytes] | None = None
    is_canonical: bool = False

    def __post_init__(self) -> None:
        for path in (self.mail_from, self.rcpt_to):
            if not _PATH.fullmatch(path):
                raise ValueError(f"{path!r} cannot stand in an SMTP command; pass it through parse_address first.")


class Dismissed(Lost):
    """The server closes (421); `outcome` is what its words mean if they were meant for this message."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


class Session:
    """A sender with one connection, opened when first needed and kept for the next `deliver`. For one thread."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._connection: Connection | None = None
        # What the server was told of and has not finally answered; its connection is good for nothing else.
        self._announced: Envelope | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take leave of the server; after half a transaction, just hang up."""
        if self._connection is not None and self._announced is None:
            self._connection.quit()
            self._connection = None
        self._hang_up()

    def deliver(
        self, envelopes: Iterable[Envelope], should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Outcome]]:
        """Yield (key, outcome) for every envelope pulled, in order, each as soon as it is known.

        Pulls one envelope ahead at most. In flight is never more than one body without its answer and, where the
        server offers PIPELINING, behind it the MAIL, RCPT and DATA of the next envelope. Those commit to nothing:
        while the caller does not ask for the next outcome, nothing further is written. `should_stop` is asked
        before every body; when it says so, the envelopes pulled come back NOT_SENT.

        Ends early after BLOCKED, UNCONFIRMED and NOT_SENT; the envelope looked ahead then comes back NOT_SENT, and
        what was not pulled is the caller's. A used connection that turns out dead, or is dismissed by 421, before a
        body was begun is replaced once, unseen. Closing the iterator early gives back nothing of the envelope
        looked ahead; its body has not left.
        """
        if self._announced is not None:
            self._hang_up()
        source = iter(envelopes)
        envelope = None if should_stop() else next(source, None)
        while envelope is not None:
            following = None
            outcome = self._announce(envelope)
            if isinstance(outcome, Connection):
                following = next(source, None)
                outcome = (
                    _not_sent("Stopped before it left.")
                    if should_stop()
                    else self._hand_over(outcome, envelope, following)
                )
            if outcome.verdict in ENDS:
                self._hang_up()
            yield envelope.key, outcome
            if outcome.verdict in ENDS:
                if following is not None:
                    yield following.key, _not_sent("Not begun, because of the message before it.")
                return
            envelope = following or (None if should_stop() else next(source, None))

    def _announce(self, envelope: Envelope) -> Connection | Outcome:
        """The connection on which the server waits for the body of `envelope`, or why it does not."""
        while True:
            try:
                connection = self._connected(envelope)
            except Refused as refused:
                return refused.outcome
            if (misfit := _misfit(connection, envelope)) is not None:
                return misfit
            is_fresh = connection.used == 0
            try:
                return self._converse(connection, envelope) or connection
            except Lost as error:
                self._hang_up()
                if is_fresh:
                    return error.outcome if isinstance(error, Dismissed) else _not_sent(str(error))

    def _connected(self, envelope: Envelope) -> Connection:
        """The connection on which `envelope` was announced, else one with nothing in flight, if need be a new one."""
        if self._connection is not None and self._announced is not envelope:
            if self._announced is not None:
                self._hang_up()
            elif self._connection.is_spent:
                self.close()
        if self._connection is None:
            self._connection = Connection(self._transport)
        return self._connection

    def _converse(self, connection: Connection, envelope: Envelope) -> Outcome | None:
        """MAIL, RCPT and DATA with their answers. None: go on with the body."""
        steps = _steps(connection, envelope)
        if self._announced is None:
            connection.used += 1
            if connection.pipelining:
                connection.wire.send(b"".join(command for _, command in steps))
        self._announced = envelope
        refusal: Outcome | None = None
        try:
            for answer in _answers(connection, steps):
                refusal = refusal or answer
            if refusal is not None:
                self._clear(connection, refusal, is_waiting=answer is None)
        except Lost:
            # What was said about this envelope stands, although the server has left since.
            if refusal is None:
                raise
            self._hang_up()
        return refusal

    def _clear(self, connection: Connection, refusal: Outcome, *, is_waiting: bool) -> None:
        """After a refusal, make the connection fit for the next message."""
        if is_waiting:
            if refusal.stage is not Stage.RCPT:
                raise Lost("The server waits for a message that it has refused.")
            # 354 although no recipient was taken (RFC 2920, 3.1): an empty body to nobody ends it.
            connection.wire.send(b".\r\n")
            connection.wire.read_reply()
        connection.wire.send(b"RSET\r\n")
        if connection.wire.read_reply().code != 250:
            raise Lost("The server refused RSET.")
        self._announced = None

    def _hand_over(self, connection: Connection, envelope: Envelope, following: Envelope | None) -> Outcome:
        """Send the body, with the announcement of `following` behind it where that is allowed, and hear its fate."""
        body, group = _stuffed(envelope), b""
        if following is None or not _fits_behind(connection, following):
            following = None
        else:
            group = b"".join(command for _, command in _steps(connection, following))
        try:
            connection.wire.send(body + group)
        except Lost as error:
            if error.sent < len(body):
                return self._cut_short(connection, error)
        try:
            reply = connection.wire.read_reply(patience=_PATIENCE)
        except Lost as error:
            return Outcome(Verdict.UNCONFIRMED, Stage.DOT, text=str(error))
        if reply.code // 100 not in (2, 4, 5):
            return Outcome(Verdict.UNCONFIRMED, Stage.DOT, *reply)
        connection.used += following is not None
        self._announced = following
        return Outcome.of(Stage.DOT, reply)

    def _cut_short(self, connection: Connection, error: Lost) -> Outcome:
        """The body did not leave whole. A server that hangs up on it has often said why."""
        try:
            reply = connection.wire.read_reply()
        except Lost:
            return _not_sent(str(error))
        self._hang_up()
        return Outcome.of(Stage.DOT, reply) if 400 <= reply.code < 600 else _not_sent(str(error))

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.wire.close()
        self._connection = self._announced = None


def _answers(connection: Connection, steps: tuple[tuple[Stage, bytes], ...]) -> Iterator[Outcome | None]:
    """What each command is answered. Without PIPELINING every command waits for the one before, and for its yes."""
    for stage, command in steps:
        if not connection.pipelining:
            connection.wire.send(command)
        answer = _answer(connection, stage)
        yield answer
        if answer is not None and not connection.pipelining:
            return


def _answer(connection: Connection, stage: Stage) -> Outcome | None:
    """The server's word on one command: None when it agrees."""
    code, lines = connection.wire.read_lines()
    if code // 100 == (3 if stage is Stage.DATA else 2):
        return None
    reply = Reply.parse(code, lines)
    if reply.code == 421:
        raise Dismissed(Outcome.of(stage, reply))
    if reply.code < 400 or reply.code > 599:
        raise Lost(f"The server answered {stage.upper()} with {reply.code}, which is no answer to it.")
    return Outcome.of(stage, reply)


def _steps(connection: Connection, envelope: Envelope) -> tuple[tuple[Stage, bytes], ...]:
    size = f" SIZE={len(envelope.data)}" if "SIZE" in connection.extensions else ""
    body = "" if envelope.data.isascii() else " BODY=8BITMIME"
    return (
        (Stage.MAIL, f"MAIL FROM:<{envelope.mail_from}>{size}{body}\r\n".encode()),
        (Stage.RCPT, f"RCPT TO:<{envelope.rcpt_to}>\r\n".encode()),
        (Stage.DATA, b"DATA\r\n"),
    )


def _misfit(connection: Connection, envelope: Envelope) -> Outcome | None:
    """Why the server cannot be asked at all to take this envelope."""
    limit = connection.size_limit
    if 0 < limit < len(envelope.data):
        text = f"The message has {len(envelope.data)} bytes, the server takes {limit}; make it smaller."
        # No server has refused it for good, and a limit may be raised: it is found by who retries what failed.
        return Outcome(Verdict.REJECTED, Stage.MAIL, text=text)
    if "8BITMIME" not in connection.extensions and not envelope.data.isascii():
        text = "The server takes no 8-bit messages (8BITMIME); build them without eight_bit."
        return Outcome(Verdict.BLOCKED, Stage.MAIL, text=text)
    return None


def _fits_behind(connection: Connection, envelope: Envelope) -> bool:
    return connection.pipelining and not connection.is_spent and _misfit(connection, envelope) is None


def _stuffed(envelope: Envelope) -> bytes:
    """The body as it goes over the wire: CRLF only, dots doubled at line starts, the lone dot at the end."""
    data = envelope.data
    if not envelope.is_canonical:
        # A bare line end before a dot could pass for the end of the message at some server behind this one.
        data = _BARE_LINE_END.sub(b"\r\n", data)
    if data.startswith(b"."):
        data = b"." + data
    if b"\r\n." in data:
        data = data.replace(b"\r\n.", b"\r\n..")
    return data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n")


def _not_sent(text: str) -> Outcome:
    return Outcome(Verdict.NOT_SENT, Stage.DATA, text=text)
