import imaplib
import ssl
from collections.abc import Iterator
from typing import Any

from campaigns.bounces.mailbox import Address
from campaigns.bounces.parse import MAX_BYTES


class ImapMailbox:
    """A folder: unread mails are read; one set aside stays there, marked as read."""

    def __init__(self, address: Address, timeout: float) -> None:
        context = ssl.create_default_context()
        self._server: imaplib.IMAP4 = (
            imaplib.IMAP4_SSL(address.host, address.port, ssl_context=context, timeout=timeout)
            if address.secure
            else imaplib.IMAP4(address.host, address.port, timeout=timeout)
        )
        try:
            if address.starttls:
                self._server.starttls(context)
            self._server.login(address.user, address.password)
            folder = address.folder.replace("\\", "\\\\").replace('"', '\\"')
            self._expect(self._server.select(f'"{folder}"'))
        except BaseException:
            self._server.shutdown()
            raise
        self._removed: list[str] = []

    def mails(self, limit: int) -> Iterator[tuple[str, bytes]]:
        found = self._expect(self._server.uid("SEARCH", "UNSEEN", "UNDELETED"))[0] or b""
        for uid in found.decode("ascii", "replace").split()[:limit]:
            # PEEK leaves the mail unread, for the case that this reading is broken off.
            answer = self._expect(self._server.uid("FETCH", uid, f"(BODY.PEEK[]<0.{MAX_BYTES}>)"))
            content = next((item[1] for item in answer if isinstance(item, tuple)), None)
            if content is not None:
                yield uid, content

    def remove(self, name: str) -> None:
        self._expect(self._server.uid("STORE", name, "+FLAGS.SILENT", "(\\Seen \\Deleted)"))
        self._removed.append(name)

    def set_aside(self, name: str) -> None:
        self._expect(self._server.uid("STORE", name, "+FLAGS.SILENT", "(\\Seen)"))

    def close(self) -> None:
        try:
            if self._removed:
                self._expunge()
            self._server.logout()
        except BaseException:
            self._server.shutdown()
            raise

    def _expunge(self) -> None:
        # What others have marked as deleted stays where the server can tell the mails apart.
        if "UIDPLUS" in self._server.capabilities:
            for start in range(0, len(self._removed), 200):
                self._expect(self._server.uid("EXPUNGE", ",".join(self._removed[start : start + 200])))
        else:
            self._expect(self._server.expunge())

    def _expect(self, answer: tuple[str, list[Any]]) -> list[Any]:
        status, data = answer
        if status != "OK":
            raise imaplib.IMAP4.error(data[0] if data else status)
        return data
