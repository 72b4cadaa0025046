import poplib
import ssl
from collections.abc import Iterator

from campaigns.bounces.mailbox import Address
from campaigns.bounces.parse import MAX_BYTES

# The standard library gives up at lines of over 2 KiB, which mails do have: the session would be lost with the first.
poplib._MAXLINE = 1_000_000  # type: ignore[attr-defined]
_TOP_LINES = 5_000


class Pop3Mailbox:
    """POP3 cannot mark a mail: one set aside stays, and is looked at again each time. The newest are read first."""

    def __init__(self, address: Address, timeout: float) -> None:
        context = ssl.create_default_context()
        self._server: poplib.POP3 = (
            poplib.POP3_SSL(address.host, address.port, timeout=timeout, context=context)
            if address.secure
            else poplib.POP3(address.host, address.port, timeout=timeout)
        )
        try:
            if address.starttls:
                self._server.stls(context)
            self._server.user(address.user)
            self._server.pass_(address.password)
        except BaseException:
            self._server.close()
            raise

    def mails(self, limit: int) -> Iterator[tuple[str, bytes]]:
        sizes = [entry.split()[:2] for entry in self._server.list()[1]]
        for number, size in reversed(sizes[-limit:]):
            long = int(size) > MAX_BYTES
            lines = self._server.top(int(number), _TOP_LINES)[1] if long else self._server.retr(int(number))[1]
            yield number.decode(), b"\r\n".join(lines)[:MAX_BYTES]

    def remove(self, name: str) -> None:
        self._server.dele(int(name))

    def set_aside(self, name: str) -> None:
        """It stays as it is."""

    def close(self) -> None:
        try:
            self._server.quit()  # only now the server removes what was marked
        finally:
            self._server.close()
