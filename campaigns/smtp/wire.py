"""The socket under an SMTP conversation: whole replies in, bytes out, and an end to every wait."""

import os
import socket
import ssl
import time
from contextlib import suppress
from functools import cache, partial
from typing import Any

from campaigns import fibers
from campaigns.smtp.outcome import Reply
from campaigns.smtp.transport import Security, Transport

MAX_REPLY_LINE = 4096  # bytes; RFC 5321 asks for 512
MAX_REPLY_LINES = 128
# A TLS record at most, so that a failed write tells to the record how much has left.
_SLICE = 16384
# How a call says that it has to wait.
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_SLOWEST = 16384  # bytes a second that a large message may take


class Lost(Exception):
    """The connection is of no use any more. `sent` is how many bytes of a failed write have left at most."""

    def __init__(self, reason: str, sent: int = 0) -> None:
        super().__init__(reason)
        self.sent = sent


class Wire:
    """A connected socket. Every method raises Lost, and nothing else, when the other side fails."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._received = b""
        self.timeout = transport.timeout
        try:
            self._socket = _connected(transport)
        except (OSError, UnicodeError) as error:
            raise Lost(f"No connection to {transport.host}:{transport.port}: {_reason(error)}.") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if transport.security is Security.TLS:
            self.start_tls()

    @property
    def own_address(self) -> str:
        """The address literal by which EHLO names this end."""
        host = str(self._socket.getsockname()[0])
        return f"[IPv6:{host}]" if ":" in host else f"[{host}]"

    def start_tls(self) -> None:
        if self._received:
            raise Lost("The server sent data before TLS began, as an intruder would; nothing was sent.")
        context = _tls(verify=self._transport.verify)
        deadline = time.monotonic() + self.timeout
        try:
            wrapped = context.wrap_socket(
                self._socket, server_hostname=self._transport.host, do_handshake_on_connect=False
            )
            self._socket = wrapped
            while True:
                try:
                    wrapped.do_handshake()
                    return
                except _NOT_YET as reason:
                    self._wait(reason, fibers.READABLE, deadline)
        except (OSError, ValueError) as error:
            self.close()
            raise Lost(f"No TLS with {self._transport.host}: {_reason(error)}.") from None

    def send(self, data: bytes) -> None:
        """Write all of it; no part may wait longer than the timeout, the whole by a second per 16 KiB longer."""
        deadline = time.monotonic() + self.timeout + len(data) / _SLOWEST
        view, sent = memoryview(data), 0
        try:
            while sent < len(data):
                try:
                    sent += self._socket.send(view[sent : sent + _SLICE])
                except _NOT_YET as reason:
                    self._wait(reason, fibers.WRITABLE, min(deadline, time.monotonic() + self.timeout))
        except OSError as error:
            raise Lost(f"The connection was lost while sending: {_reason(error)}.", sent) from None

    def read_reply(self, *, patience: float = 1.0) -> Reply:
        """The next reply; Lost when it is later than `patience` timeouts, endless or no SMTP."""
        return Reply.parse(*self.read_lines(patience=patience))

    def read_lines(self, *, patience: float = 1.0) -> tuple[int, list[bytes]]:
        """The next reply as its code and the text of every line."""
        deadline = time.monotonic() + self.timeout * patience
        lines: list[bytes] = []
        while len(lines) < MAX_REPLY_LINES:
            line = self._read_line(deadline)
            if not line[:3].isdigit() or line[3:4] not in (b" ", b"-", b""):
                raise Lost(f"The server answered with something that is no SMTP reply: {line[:60]!r}.")
            lines.append(line[4:])
            if line[3:4] != b"-":
                return int(line[:3]), lines
        raise Lost(f"The server answered with over {MAX_REPLY_LINES} lines.")

    def close(self) -> None:
        self._socket.close()

    def _read_line(self, deadline: float) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > MAX_REPLY_LINE:
                raise Lost(f"The server answered with a line of over {MAX_REPLY_LINE} bytes.")
            self._received += self._receive(deadline)
        line, self._received = self._received[:end], self._received[end + 1 :]
        return line.rstrip(b"\r")

    def _receive(self, deadline: float) -> bytes:
        try:
            if not self._has_pending():
                # What was just asked for is hardly there yet: waiting first spares a call that fails.
                fibers.wait(self._socket.fileno(), fibers.READABLE, deadline)
            while True:
                try:
                    data = self._socket.recv(_SLICE)
                    break
                except _NOT_YET as reason:
                    self._wait(reason, fibers.READABLE, deadline)
        except OSError as error:
            raise Lost(f"The connection was lost: {_reason(error)}.") from None
        if not data:
            raise Lost("The server closed the connection.")
        return data

    def _has_pending(self) -> bool:
        """Whether TLS has decrypted more than was read."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _wait(self, reason: OSError, events: int, deadline: float) -> None:
        """For what a call could not do without: TLS may have to read in order to write, and the other way round."""
        if isinstance(reason, ssl.SSLWantReadError):
            events = fibers.READABLE
        elif isinstance(reason, ssl.SSLWantWriteError):
            events = fibers.WRITABLE
        fibers.wait(self._socket.fileno(), events, deadline)


@cache
def _tls(*, verify: bool) -> ssl.SSLContext:
    """Made once: reading the system's certificates takes longer than a handshake."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _connected(transport: Transport) -> socket.socket:
    """A socket that never blocks, connected to the first of the host's addresses that answers. Raises OSError."""
    look_up = partial(socket.getaddrinfo, transport.host, transport.port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _, address in fibers.aside(look_up, time.monotonic() + transport.timeout):
        attempt = socket.socket(family, kind, protocol)
        try:
            attempt.setblocking(False)
            _connect(attempt, address, time.monotonic() + transport.timeout)
            return attempt
        except OSError as error:
            attempt.close()
            failure = error
    raise failure or OSError("the name has no address")


def _connect(attempt: socket.socket, address: Any, deadline: float) -> None:
    with suppress(BlockingIOError):
        attempt.connect(address)
        return
    fibers.wait(attempt.fileno(), fibers.WRITABLE, deadline)
    if code := attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).rstrip(".")
