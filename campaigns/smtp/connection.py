"""One SMTP conversation: its introductions (EHLO, TLS, login) and what the server has offered in them."""

import base64
from contextlib import suppress

from campaigns.smtp.outcome import Outcome, Reply, Stage, Verdict
from campaigns.smtp.transport import Security, Transport
from campaigns.smtp.wire import Lost, Wire

# Fifty that went silent are parted from one by one, before the next mail.
_FAREWELL_SECONDS = 0.2


class Refused(Exception):
    """The server does not talk with us; `outcome` (always BLOCKED) says where it ended."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


class Connection:
    """Connected, encrypted and logged in as the transport asks, or Refused is raised.

    `extensions` are the upper-case EHLO keywords with their parameters; `used` counts the messages announced.
    """

    def __init__(self, transport: Transport) -> None:
        self.extensions: dict[str, str] = {}
        self.used = 0
        self._transport = transport
        self._stage = Stage.CONNECT
        try:
            self.wire = Wire(transport)
        except Lost as error:
            raise self._refused(str(error)) from None
        try:
            self._introduce()
        except Lost as error:
            self.wire.close()
            raise self._refused(str(error)) from None
        except Refused:
            self.quit()
            raise

    @property
    def pipelining(self) -> bool:
        return self._transport.pipelining and "PIPELINING" in self.extensions

    @property
    def size_limit(self) -> int:
        """Bytes a message may have; 0: the server names no limit."""
        limit = self.extensions.get("SIZE", "")
        return int(limit) if limit.isascii() and limit.isdigit() else 0

    @property
    def is_spent(self) -> bool:
        """Whether it has carried as many messages as one connection may."""
        return 0 < self._transport.max_messages <= self.used

    def quit(self) -> None:
        """Part politely, but without waiting long for the answer."""
        self.wire.timeout = min(self.wire.timeout, _FAREWELL_SECONDS)
        with suppress(Lost):
            self.wire.send(b"QUIT\r\n")
            self.wire.read_reply()
        self.wire.close()

    def _introduce(self) -> None:
        self._stage = Stage.GREETING
        self._expect(220)
        self._ehlo()
        if self._transport.security is Security.STARTTLS:
            self._start_tls()
        if self._transport.username:
            self._log_in()

    def _ehlo(self) -> None:
        self._stage = Stage.EHLO
        self.wire.send(f"EHLO {self._transport.ehlo or self.wire.own_address}\r\n".encode())
        code, lines = self.wire.read_lines()
        if code != 250:
            raise Refused(Outcome.of(Stage.EHLO, Reply.parse(code, lines)))
        offers = [line.decode("ascii", "replace").strip().partition(" ") for line in lines[1:]]
        self.extensions = {keyword.upper(): parameters.strip() for keyword, _, parameters in offers}

    def _start_tls(self) -> None:
        self._stage = Stage.STARTTLS
        if "STARTTLS" not in self.extensions:
            raise self._refused("The server offers no STARTTLS; correct the port or use smtps:// in the SMTP URL.")
        self.wire.send(b"STARTTLS\r\n")
        self._expect(220)
        self.wire.start_tls()
        self._ehlo()

    def _log_in(self) -> None:
        self._stage = Stage.AUTH
        mechanisms = self.extensions.get("AUTH", "").upper().split()
        username, password = self._transport.username.encode(), self._transport.password.encode()
        if "PLAIN" in mechanisms:
            self.wire.send(b"AUTH PLAIN " + base64.b64encode(b"\0" + username + b"\0" + password) + b"\r\n")
        elif "LOGIN" in mechanisms:
            self.wire.send(b"AUTH LOGIN\r\n")
            self._expect(334)
            self.wire.send(base64.b64encode(username) + b"\r\n")
            self._expect(334)
            self.wire.send(base64.b64encode(password) + b"\r\n")
        else:
            raise self._refused(
                "The server offers neither AUTH PLAIN nor LOGIN; try starttls=1 or take the user out of the SMTP URL."
            )
        self._expect(235)

    def _expect(self, code: int) -> None:
        reply = self.wire.read_reply()
        if reply.code != code:
            raise Refused(Outcome.of(self._stage, reply))

    def _refused(self, text: str) -> Refused:
        return Refused(Outcome(Verdict.BLOCKED, self._stage, text=text))
