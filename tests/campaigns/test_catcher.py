"""campaigns.catcher: the mail catcher ..."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from campaigns import catcher
from campaigns.catcher import Mailcatcher
from campaigns.models import CaughtMessage
from campaigns.smtp import Envelope, Session, Transport

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def port(transactional_db: None) -> Iterator[int]:
    """The port of a mail catcher that runs in a thread."""
    loop, stop, ports = asyncio.new_event_loop(), asyncio.Event(), []
    started = threading.Event()

    async def catch() -> None:
        async with Mailcatcher("127.0.0.1", 0) as mailcatcher:
            ports.append(mailcatcher.port)
            started.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(catch())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    yield ports[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    assert not thread.is_alive()


def send(port: int, data: bytes, count: int = 1) -> list[str]:
    with Session(Transport("127.0.0.1", port)) as session:
        envelopes = [Envelope(n, "team@example.com", f"r{n}@example.com", data) for n in range(count)]
        return [str(outcome.verdict) for _, outcome in session.deliver(envelopes)]


def talk(port: int, said: bytes) -> bytes:
    """Everything a catcher answers when all of this is written at once, with QUIT behind it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client, client.makefile("rb") as answers:
        client.sendall(b"EHLO test\r\n" + said + b"QUIT\r\n")
        return answers.read()


def test_keeps_what_it_is_given(port: int) -> None:
    raw = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1.2.ab@example.com>\r\n\r\n.dot\r\n\xc3\xbc\r\n"
    assert send(port, raw) == ["sent"]
    caught = CaughtMessage.objects.get()
    assert (caught.mail_from, caught.rcpt_to) == ("team@example.com", "r0@example.com")
    assert (caught.subject, caught.message_id) == ("Grüße", "<1.2.ab@example.com>")
    assert (bytes(caught.raw), caught.size) == (raw, len(raw))
    assert caught.received_at is not None


def test_keeps_one_row_per_recipient(port: int) -> None:
    talk(port, b"MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nX: y\r\n\r\nz\r\n.\r\n")
    rows = CaughtMessage.objects.order_by("id").values_list("mail_from", "rcpt_to", "subject", "message_id")
    assert list(rows) == [("<>", "a@example.com", "", ""), ("<>", "b@example.com", "", "")]


def test_understands_commands_written_ahead(port: int) -> None:
    group = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
    answers = talk(port, (group + b"Subject: one\r\n\r\n..\r\n.\r\n") + (group + b".\r\n") + (group + b"\r\n.\r\n"))
    assert b"250-PIPELINING\r\n" in answers
    assert re.findall(rb"^(\d{3})", answers.split(b"250 HELP\r\n")[1], re.M) == [b"250", b"250", b"354", b"250"] * 3 + [
        b"221"
    ]
    bodies = CaughtMessage.objects.order_by("id").values_list("raw", flat=True)
    assert [bytes(raw) for raw in bodies] == [b"Subject: one\r\n\r\n.\r\n", b"", b"\r\n"]


def test_takes_lines_of_any_length(port: int) -> None:
    raw = b"Subject: long\r\n\r\n" + b"x." * 300_000 + b"\r\n"
    assert send(port, raw) == ["sent"]
    assert bytes(CaughtMessage.objects.get().raw) == raw


def test_refuses_what_is_too_big_and_goes_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catcher, "MAX_BYTES", 100_000)
    group = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
    answers = talk(port, group + b"x\r\n" * 60_000 + b".\r\n" + group + b"small\r\n.\r\n")
    assert b"552 5.3.4" in answers
    assert bytes(CaughtMessage.objects.get().raw) == b"small\r\n"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"DATA\r\n", b"503 5.5.1"),
        (b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA now\r\n", b"501 5.5.4"),
    ],
)
def test_takes_no_body_out_of_turn(port: int, said: bytes, answer: bytes) -> None:
    assert answer in talk(port, said)
    assert not CaughtMessage.objects.exists()


def test_wants_to_be_greeted_first(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client, client.makefile("rb") as answers:
        client.sendall(b"DATA\r\nQUIT\r\n")
        assert b"503 Error: send HELO first" in answers.read()


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"=?utf-8?b?w7w=?=", "ü"),
        (b"=?nonsense?q?a?=", "=?nonsense?q?a?="),
        (b"=?utf-8?b?a?=", "=?utf-8?b?a?="),
        (b"=?utf-8?q?a=00b?=", "ab"),
        (b"raw \xc3\xbc", "raw \ufffd\ufffd"),
        (b"two\r\n lines", "two lines"),
    ],
)
def test_reads_any_subject(port: int, header: bytes, subject: str) -> None:
    assert send(port, b"Subject: " + header + b"\r\n\r\nx\r\n") == ["sent"]
    assert CaughtMessage.objects.get().subject == subject


def test_cuts_what_no_index_takes(port: int) -> None:
    assert send(port, b"Message-ID: <" + b"x\xff" * 4000 + b">\r\n\r\nx\r\n") == ["sent"]
    assert len(CaughtMessage.objects.get().message_id) == catcher.MAX_INDEXED


def test_keeps_everything_of_many_at_once(port: int) -> None:
    with ThreadPoolExecutor(8) as senders:
        verdicts = list(senders.map(lambda _: send(port, b"Subject: x\r\n\r\nx\r\n", 25), range(8)))
    assert verdicts == [["sent"] * 25] * 8
    assert CaughtMessage.objects.count() == 200


def test_asks_for_another_try_while_the_database_is_away(port: int) -> None:
    assert send(port, b"Subject: one\r\n\r\n") == ["sent"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert send(port, b"Subject: two\r\n\r\n") == ["blocked"]
    assert send(port, b"Subject: two\r\n\r\n") == ["sent"]
    assert list(CaughtMessage.objects.order_by("id").values_list("subject", flat=True)) == ["one", "two"]


def test_defers_what_comes_while_it_ends() -> None:
    async def conversation() -> bytes:
        async with Mailcatcher("127.0.0.1", 0) as mailcatcher:
            reader, writer = await asyncio.open_connection("127.0.0.1", mailcatcher.port)
            await reader.readline()
        writer.write(b"EHLO test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n.\r\nQUIT\r\n")
        answers = await reader.read()
        writer.close()
        return answers

    assert b"\r\n451 4.3.0 " in asyncio.run(conversation())
    assert not CaughtMessage.objects.exists()


def test_command_says_when_its_port_is_taken(port: int) -> None:
    with pytest.raises(CommandError, match=f"Cannot listen on 127.0.0.1:{port} .*choose another port with --port"):
        call_command("mailcatcher", port=port)


def test_command_says_when_the_url_is_wrong() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "SMTP_URL", "http://example.com")
        with pytest.raises(CommandError, match="The SMTP URL cannot be read"):
            call_command("mailcatcher")


@pytest.mark.parametrize("text", ["-1", "x", "70000"])
def test_command_takes_only_ports(text: str) -> None:
    with pytest.raises(CommandError, match="--port"):
        call_command("mailcatcher", f"--port={text}")


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_ends_when_told_to(number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "mailcatcher", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.fullmatch(r"Catching mail on smtp://127\.0\.0\.1:\d+\n", line)
        process.send_signal(number)
        assert process.communicate(timeout=20)[0] == "Stopped.\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
