"""The mail catcher: an SMTP server that keeps what it is given instead of delivering it."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from itertools import chain
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiosmtpd.smtp import SMTP
from django.db import Error, connection, connections

from campaigns.models import CaughtMessage

MAX_BYTES = 25 * 1024 * 1024
# Keeps an indexed value below what a B-tree entry holds, whatever its characters.
MAX_INDEXED = 600
_SECONDS_FOR_LAST_ANSWERS = 0.1

_INSERT = f"INSERT INTO {CaughtMessage._meta.db_table} (mail_from, rcpt_to, subject, message_id, size, raw) VALUES "

logger = logging.getLogger(__name__)


class Mail(NamedTuple):
    """One message as it came over the wire."""

    mail_from: str
    rcpt_tos: list[str]
    raw: bytes


class Mailcatcher:
    """Accepts mail on `host:port` (0: any free one) while its `async with` block runs; raises OSError if it cannot.

    A message is answered with 250 once it is committed. Whatever waits is committed together, so that many
    connections cost little more than one. While the database is away the answer is 451: the sender tries again.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._writer = _Writer()

    async def __aenter__(self) -> Self:
        # aiosmtpd writes a line for every command of every client.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        self._server = await asyncio.get_running_loop().create_server(self._conversation, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._writing = asyncio.create_task(self._writer.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self._writer.finish()
        await self._writing
        await asyncio.sleep(_SECONDS_FOR_LAST_ANSWERS)

    def _conversation(self) -> SMTP:
        return _Conversation(
            self,
            data_size_limit=MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname="mailcatcher",
            ident="Posthaste mail catcher",
        )

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, name: str, offers: list[str]) -> list[str]:
        """Offer PIPELINING too: aiosmtpd reads one stream in order and never drops what came early."""
        session.host_name = name
        return [offers[0], "250-PIPELINING", *offers[1:]]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if await self._writer.keep(Mail(envelope.mail_from, envelope.rcpt_tos, envelope.content)):
            return "250 2.0.0 Kept"
        return "451 4.3.0 The message could not be kept; try again later"


class _Conversation(SMTP):
    """aiosmtpd, reading bodies by the buffer: its line by line costs a millisecond for every 10 KB."""

    line_length_limit = 65536

    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_helo_needed():
            return
        envelope = self.envelope
        if arg or envelope is None or not envelope.rcpt_tos:
            await self.push("501 5.5.4 Syntax: DATA" if arg else "503 5.5.1 Give a recipient (RCPT) first")
            return
        await self.push("354 End with a dot on a line of its own")
        envelope.content = await _read_body(self._reader)
        status = "552 5.3.4 The message is too big"
        if envelope.content is not None:
            status = await self.event_handler.handle_DATA(self, self.session, envelope)
        self.envelope = self._create_envelope()
        await self.push(status)


async def _read_body(reader: asyncio.StreamReader) -> bytes | None:
    """Everything up to the lone dot, dots unstuffed; None when that is over MAX_BYTES."""
    pieces: list[bytes] = []
    size, tail = 0, b"\r\n"
    while tail != b"\r\n.\r\n":
        try:
            piece = await reader.readuntil(b".\r\n")
        except asyncio.LimitOverrunError as error:
            piece = await reader.readexactly(error.consumed)
        size, tail = size + len(piece), (tail + piece)[-5:]
        if size <= MAX_BYTES:
            pieces.append(piece)
        else:
            pieces.clear()
    if size > MAX_BYTES:
        return None
    return b"".join([b"\r\n", *pieces])[:-3].replace(b"\r\n.", b"\r\n")[2:]


class _Writer:
    """Group commit: while one group is being written, the next one gathers."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Mail, asyncio.Future[bool]]] = []
        self._wake = asyncio.Event()
        self._is_finishing = False

    async def keep(self, mail: Mail) -> bool:
        """Whether the mail is in the database now."""
        if self._is_finishing:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((mail, answer))
        self._wake.set()
        return await answer

    def finish(self) -> None:
        self._is_finishing = True
        self._wake.set()

    async def run(self) -> None:
        """Write until `finish` is called and nothing waits any more."""
        loop = asyncio.get_running_loop()
        # One thread, because a database connection belongs to the thread that opened it.
        with ThreadPoolExecutor(1, "mailcatcher") as thread:
            while self._waiting or not self._is_finishing:
                await self._wake.wait()
                self._wake.clear()
                group, self._waiting = self._waiting, []
                if group:
                    is_kept = await loop.run_in_executor(thread, _store, [mail for mail, _ in group])
                    for _, answer in group:
                        if not answer.done():
                            answer.set_result(is_kept)
            await loop.run_in_executor(thread, connections.close_all)


def _store(mails: list[Mail]) -> bool:
    """Commit all of them, or none and say so; a broken connection is given up, the next group opens another."""
    rows = [row for mail in mails for row in _rows(mail)]
    # One statement is one commit; bulk_create would take three times as long for the same rows.
    statement = _INSERT + ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(rows))
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, list(chain.from_iterable(rows)))
    except Error as error:
        logger.warning("%d messages could not be kept and are refused for now: %s", len(mails), error)
        connections.close_all()
        return False
    return True


def _rows(mail: Mail) -> list[tuple[str, str, str, str, int, bytes]]:
    headers = BytesHeaderParser().parsebytes(mail.raw.partition(b"\r\n\r\n")[0])
    subject, message_id = _decoded(headers["Subject"]), _text(str(headers["Message-ID"] or ""))[:MAX_INDEXED]
    return [
        (_text(mail.mail_from), _text(rcpt_to)[:MAX_INDEXED], subject, message_id, len(mail.raw), mail.raw)
        for rcpt_to in mail.rcpt_tos
    ]


def _decoded(value: Any) -> str:
    """A subject as people read it; as it stands where it is encoded wrongly."""
    try:
        return _text(str(make_header(decode_header(value or ""))))
    except (HeaderParseError, LookupError, ValueError):
        return _text(str(value))


def _text(value: str) -> str:
    """Text that PostgreSQL takes: one line without NUL and without halves of characters."""
    return " ".join(value.encode("utf-8", "replace").decode().replace("\x00", "").split())
