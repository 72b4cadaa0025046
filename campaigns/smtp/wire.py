"""The socket under an SMTP conversation: whole replies in, bytes out, and an end to every wait."""

import socket
import ssl
import struct
import time

from campaigns.smtp.outcome import Reply
from campaigns.smtp.transport import Security, Transport

MAX_REPLY_LINE = 4096  # bytes; RFC 5321 asks for 512
MAX_REPLY_LINES = 128
# A TLS record at most, so that a failed write tells to the record how much has left.
_SLICE = 16384
_TIMEVAL = struct.Struct("@ll")
# How a call says that its time is over: with TLS, without it, and before it was begun.
_LATE = (TimeoutError, BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
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
            self._socket = socket.create_connection((transport.host, transport.port), transport.timeout)
        except (OSError, UnicodeError) as error:
            raise Lost(f"No connection to {transport.host}:{transport.port}: {_reason(error)}.") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(None)
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
        context = ssl.create_default_context()
        if not self._transport.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            self._socket.settimeout(self.timeout)
            self._socket = context.wrap_socket(self._socket, server_hostname=self._transport.host)
            self._socket.settimeout(None)
        except (OSError, ValueError) as error:
            self.close()
            raise Lost(f"No TLS with {self._transport.host}: {_reason(error)}.") from None

    def send(self, data: bytes) -> None:
        """Write all of it; no part may wait longer than the timeout, the whole by a second per 16 KiB longer."""
        deadline = time.monotonic() + self.timeout + len(data) / _SLOWEST
        view, sent = memoryview(data), 0
        try:
            while sent < len(data):
                self._wait_until(deadline, socket.SO_SNDTIMEO)
                sent += self._socket.send(view[sent : sent + _SLICE])
        except OSError as error:
            raise Lost(f"The connection was lost while sending: {_reason(error)}.", sent) from None

    def read_reply(self) -> Reply:
        """The next reply; Lost when it is late, endless or no SMTP."""
        return Reply.parse(*self.read_lines())

    def read_lines(self) -> tuple[int, list[bytes]]:
        """The next reply as its code and the text of every line."""
        deadline = time.monotonic() + self.timeout
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
            self._wait_until(deadline, socket.SO_RCVTIMEO)
            data = self._socket.recv(_SLICE)
        except OSError as error:
            raise Lost(f"The connection was lost: {_reason(error)}.") from None
        if not data:
            raise Lost("The server closed the connection.")
        return data

    def _wait_until(self, deadline: float, option: int) -> None:
        """Bound the next call by the kernel's timer: Python's makes three calls of one, without the GIL in each."""
        remaining = min(deadline - time.monotonic(), self.timeout)
        if remaining <= 0:
            raise TimeoutError
        whole = int(remaining)
        # At least a microsecond: nothing at all would mean for ever.
        self._socket.setsockopt(
            socket.SOL_SOCKET, option, _TIMEVAL.pack(whole, max(1, int((remaining - whole) * 1_000_000)))
        )


def _reason(error: Exception) -> str:
    if isinstance(error, _LATE):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).rstrip(".")
