"""campaigns.smtp: a session ..."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from campaigns.smtp import Envelope, Outcome, Session, Stage, Transport, Verdict, classify, wire
from campaigns.smtp.outcome import Reply
from campaigns.smtp.transport import Security
from campaigns.smtp.wire import Lost, Wire
from tests.campaigns.smtp_server import CERTIFICATE, DROP, HANG, PIPELINING, TRICKLE, SmtpServer

BODY = b"Subject: Hello\r\n\r\nHello\r\n"
NO_PIPELINING = PIPELINING[1:]


def envelopes(count: int, body: bytes = BODY) -> list[Envelope]:
    """Each body names its key, so that a server's `bodies` tell what arrived and how often."""
    return [Envelope(n, "team@example.com", f"r{n}@example.com", b"X-Key: %d\r\n" % n + body) for n in range(count)]


def arrived(server: SmtpServer) -> list[int]:
    return [int(body.split(b"\r\n")[0].removeprefix(b"X-Key: ")) for body in server.bodies if body]


def transport(server: SmtpServer, **changes: Any) -> Transport:
    return Transport(**{"host": "127.0.0.1", "port": server.port, "timeout": 5.0, **changes})


def verdicts(server: SmtpServer, count: int, **changes: Any) -> list[str]:
    with Session(transport(server, **changes)) as session:
        outcomes = list(session.deliver(envelopes(count)))
    assert [key for key, _ in outcomes] == list(range(len(outcomes)))
    assert len(set(arrived(server))) == len(arrived(server)), "a message was handed over twice"
    return [str(outcome.verdict) for _, outcome in outcomes]


def only_outcome(server: SmtpServer, body: bytes = BODY, **changes: Any) -> Outcome:
    with Session(transport(server, **changes)) as session:
        ((_, outcome),) = session.deliver(envelopes(1, body))
    return outcome


# -- the ordinary way -------------------------------------------------------------------------------------------


class Inbox:
    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 2.0.0 ok"


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"jo", "pässwörd".encode()), handled=False)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def aiosmtpd(inbox: Inbox, request: pytest.FixtureRequest) -> Iterator[Any]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(inbox, "127.0.0.1", port, server_hostname="test", **getattr(request, "param", {}))
    controller.start()
    yield controller
    controller.stop()


def test_delivers_to_a_server_of_others(aiosmtpd: Any, inbox: Inbox) -> None:
    body = b"Subject: Dots\r\n\r\n.\r\n..\r\n.x\r\n\xc3\xbc\r\nno end"
    with Session(Transport("127.0.0.1", aiosmtpd.port)) as session:
        outcomes = list(session.deliver(envelopes(3, body)))
    assert outcomes == [(n, Outcome(Verdict.SENT, Stage.DOT, 250, "2.0.0", "ok")) for n in range(3)]
    assert [mail[:2] for mail in inbox.mails] == [("team@example.com", [f"r{n}@example.com"]) for n in range(3)]
    assert inbox.mails[0][2] == b"X-Key: 0\r\n" + body + b"\r\n"


_AUTH = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("aiosmtpd", [_AUTH, {**_AUTH, "auth_exclude_mechanism": ["PLAIN"]}], indirect=True)
@pytest.mark.parametrize(("password", "verdict", "code"), [("pässwörd", "sent", 250), ("wrong", "blocked", 535)])
def test_logs_in_by_plain_or_login(aiosmtpd: Any, password: str, verdict: str, code: int) -> None:
    with Session(Transport("127.0.0.1", aiosmtpd.port, "jo", password)) as session:
        ((_, outcome),) = session.deliver(envelopes(1))
    assert (outcome.verdict, outcome.code) == (verdict, code)


@pytest.mark.parametrize("extensions", [PIPELINING, NO_PIPELINING, ()])
def test_takes_several_deliveries_over_one_connection(extensions: tuple[str, ...]) -> None:
    with SmtpServer(extensions=extensions) as server, Session(transport(server)) as session:
        for _ in range(2):
            assert [outcome.verdict for _, outcome in session.deliver(envelopes(3))] == ["sent"] * 3
    assert server.connections == 1
    assert arrived(server) == [0, 1, 2] * 2
    assert server.commands[-1] == "quit"


def test_opens_no_connection_for_nothing() -> None:
    with SmtpServer() as server:
        assert verdicts(server, 0) == []
        assert server.connections == 0


def test_changes_the_connection_after_so_many_messages() -> None:
    with SmtpServer() as server:
        assert verdicts(server, 5, max_messages=2) == ["sent"] * 5
    assert server.connections == 3
    assert server.commands.count("quit") == 3


def test_declares_size_and_8bit_where_they_are_offered() -> None:
    with SmtpServer() as server, Session(transport(server)) as session:
        list(session.deliver([Envelope(0, "", "r@example.com", b"\xc3\xbc\r\n")]))
    assert "mail from:<> size=4 body=8bitmime" in server.commands


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_sends_no_bare_line_ends(line_end: bytes) -> None:
    body = b"X-Key: 0\r\n\r\na" + line_end + b"." + line_end + b"MAIL FROM:<x@example.org>" + line_end
    with SmtpServer() as server, Session(transport(server)) as session:
        list(session.deliver([Envelope(0, "a@example.com", "b@example.com", body)]))
    assert server.bodies == [b"X-Key: 0\r\n\r\na\r\n.\r\nMAIL FROM:<x@example.org>\r\n"]


@pytest.mark.parametrize(
    "path", ["a@example.com>\r\nRCPT TO:<x@example.org", "a b@example.com", "ü@example.com", "<a@b.c>"]
)
def test_takes_no_address_that_could_end_its_command(path: str) -> None:
    with pytest.raises(ValueError, match="parse_address"):
        Envelope(0, "a@example.com", path, b"")
    with pytest.raises(ValueError, match="parse_address"):
        Envelope(0, path, "a@example.com", b"")


# -- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [PIPELINING, NO_PIPELINING])
@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"rcpt": ["451 4.7.1 Greylisted"]}, ["deferred", "sent", "sent"]),
        ({"rcpt": ["550 5.1.1 No such user"]}, ["rejected", "sent", "sent"]),
        ({"rcpt": ["250 ok", "550 5.1.1 No such user"]}, ["sent", "rejected", "sent"]),
        ({"data": ["451 4.3.0 Later"]}, ["blocked"]),
        ({"dot": ["552 5.2.2 Mailbox full"]}, ["rejected", "sent", "sent"]),
        ({"dot": ["250 ok", "451 4.2.0 Later"]}, ["sent", "deferred", "sent"]),
        ({"dot": ["550-5.7.26 Not authenticated\r\n550 5.7.26 by DKIM"]}, ["blocked", "not_sent"]),
        ({"dot": ["250 ok", "550 5.7.26 Unauthenticated"]}, ["sent", "blocked", "not_sent"]),
        ({"mail": ["550 5.7.1 Sender not allowed"]}, ["blocked"]),
        ({"mail": ["552 5.3.4 Too big"]}, ["rejected", "sent", "sent"]),
        ({"rcpt": ["530 5.7.0 Must issue a STARTTLS command first"]}, ["blocked"]),
        ({"rset": ["500 what?"], "rcpt": ["550 5.1.1 No such user"]}, ["rejected", "sent", "sent"]),
    ],
)
def test_lays_a_refusal_at_the_right_door(
    replies: dict[str, list[str]], expected: list[str], extensions: tuple[str, ...]
) -> None:
    with SmtpServer(replies, extensions) as server:
        seen = verdicts(server, 3)
    # Nothing is looked ahead where nothing was handed over.
    assert seen == expected
    assert set(arrived(server)) >= {n for n, verdict in enumerate(seen) if verdict == "sent"}


def test_takes_the_first_of_several_refusals_for_the_reason() -> None:
    with SmtpServer({"rcpt": ["550 5.1.1 No such user"], "data": ["503 5.5.1 No recipient"]}) as server:
        assert verdicts(server, 2) == ["rejected", "sent"]
    assert server.connections == 1


def test_ends_an_unwanted_body_with_a_lone_dot() -> None:
    with SmtpServer({"rcpt": ["550 5.1.1 No such user"], "dot": ["554 5.5.1 No valid recipients"]}) as server:
        assert verdicts(server, 2) == ["rejected", "sent"]
    assert server.bodies[0] == b""
    assert "rset" in server.commands
    assert server.connections == 1


@pytest.mark.parametrize(
    ("replies", "stage", "code"),
    [
        ({"greeting": ["554 5.7.1 Your address is listed"]}, Stage.GREETING, 554),
        ({"greeting": ["421 4.3.2 Too busy"]}, Stage.GREETING, 421),
        ({"greeting": [DROP]}, Stage.GREETING, 0),
        ({"greeting": [b"SSH-2.0-OpenSSH_9.2\r\n"]}, Stage.GREETING, 0),
        ({"greeting": [b"2" * 100_000]}, Stage.GREETING, 0),
        ({"greeting": [b"220-more\r\n" * 1000]}, Stage.GREETING, 0),
        ({"ehlo": ["502 5.5.1 What?"]}, Stage.EHLO, 502),
        ({"mail": ["421 4.7.0 Slow down"]}, Stage.MAIL, 421),
        ({"mail": ["553 5.1.8 Sender unknown"]}, Stage.MAIL, 553),
    ],
)
def test_is_blocked_where_the_server_wants_none_of_us(replies: dict[str, Any], stage: Stage, code: int) -> None:
    with SmtpServer(replies) as server:
        outcome = only_outcome(server)
    assert (outcome.verdict, outcome.stage, outcome.code) == (Verdict.BLOCKED, stage, code)
    assert outcome.text
    assert arrived(server) == []


def test_is_blocked_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Session(Transport("127.0.0.1", port)) as session:
        ((_, outcome),) = session.deliver(envelopes(1))
    assert (outcome.verdict, outcome.stage) == (Verdict.BLOCKED, Stage.CONNECT)
    assert "refused" in outcome.text


def test_rejects_what_is_over_the_size_limit_without_sending_it() -> None:
    with SmtpServer(extensions=("PIPELINING", "SIZE 500")) as server, Session(transport(server)) as session:
        big = Envelope(1, "a@example.com", "b@example.com", b"x" * 501)
        outcomes = [outcome for _, outcome in session.deliver([*envelopes(1), big, *envelopes(1)])]
    assert [outcome.verdict for outcome in outcomes] == ["sent", "rejected", "sent"]
    assert (outcomes[1].code, outcomes[1].enhanced) == (0, "")
    assert "make it smaller" in outcomes[1].text
    assert not outcomes[1].hard
    assert arrived(server) == [0, 0]


def test_is_blocked_with_8bit_data_where_8bit_is_not_taken() -> None:
    with SmtpServer(extensions=("PIPELINING",)) as server, Session(transport(server)) as session:
        ((_, outcome),) = session.deliver([Envelope(0, "a@example.com", "b@example.com", b"\xc3\xbc")])
    assert outcome.verdict == Verdict.BLOCKED
    assert "8BITMIME" in outcome.text
    assert server.bodies == []


# -- losses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [PIPELINING, NO_PIPELINING])
@pytest.mark.parametrize(
    ("replies", "expected", "bodies"),
    [
        # Lost on a new connection: told at once.
        ({"mail": [DROP]}, ["not_sent"], 0),
        ({"data": [DROP]}, ["not_sent"], 0),
        ({"mail": ["nonsense"]}, ["not_sent"], 0),
        ({"data": ["250 no"]}, ["not_sent"], 0),
        ({"rcpt": ["421 4.7.0 Later"]}, ["blocked"], 0),
        # On a used one, before a body: tried once more on a new one.
        ({"mail": ["250 ok", DROP]}, ["sent", "sent", "sent"], 3),
        ({"mail": ["250 ok", "421 4.7.0 Too many messages"]}, ["sent", "sent", "sent"], 3),
        ({"mail": ["250 ok", DROP, DROP]}, ["sent", "not_sent"], 1),
        # After the dot.
        ({"dot": [DROP]}, ["unconfirmed", "not_sent"], 1),
        ({"dot": ["nonsense"]}, ["unconfirmed", "not_sent"], 1),
        ({"dot": ["354 go on"]}, ["unconfirmed", "not_sent"], 1),
        ({"dot": ["250 ok", DROP]}, ["sent", "unconfirmed", "not_sent"], 2),
        ({"dot": ["421 4.3.2 Shutting down"]}, ["blocked", "not_sent"], 1),
    ],
)
def test_knows_what_a_loss_means(
    replies: dict[str, list[str | bytes]], expected: list[str], bodies: int, extensions: tuple[str, ...]
) -> None:
    with SmtpServer(replies, extensions) as server:
        assert verdicts(server, 3) == expected
    assert len(arrived(server)) == bodies


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"greeting": [HANG]}, ["blocked"]),
        ({"greeting": [TRICKLE]}, ["blocked"]),
        ({"rcpt": [HANG]}, ["not_sent"]),
        ({"dot": [HANG]}, ["unconfirmed", "not_sent"]),
    ],
)
def test_waits_no_longer_than_its_timeout(replies: dict[str, list[str | bytes]], expected: list[str]) -> None:
    with SmtpServer(replies) as server:
        assert verdicts(server, 2, timeout=0.2) == expected


def test_gives_up_a_body_that_nobody_reads() -> None:
    with SmtpServer({"body": [HANG]}, extensions=()) as server:
        outcome = only_outcome(server, body=b"x\r\n" * 5_000_000, timeout=0.2)
    assert outcome.verdict == Verdict.NOT_SENT


def cut(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let the write of a body fail after `count` bytes of it, which do leave; negative: counted from its dot."""
    send = Wire.send

    def failing_send(wire: Wire, data: bytes) -> None:
        end = data.find(b"\r\n.\r\n") + 5
        if end < 5:
            return send(wire, data)
        sent = count if count >= 0 else end + 1 + count
        send(wire, data[:sent])
        raise Lost("The cable was cut.", sent)

    monkeypatch.setattr(Wire, "send", failing_send)


@pytest.mark.parametrize(
    ("replies", "count", "verdict", "code"),
    [
        # The dot has left: only the answer counts.
        ({}, -1, Verdict.SENT, 250),
        ({"dot": ["554 5.6.0 No"]}, -1, Verdict.REJECTED, 554),
        ({"dot": [DROP]}, -1, Verdict.UNCONFIRMED, 0),
        # It has not: whatever is heard, nothing was accepted.
        ({}, -2, Verdict.NOT_SENT, 0),
        ({"body": ["552 5.3.4 Too big"]}, 5, Verdict.REJECTED, 552),
        ({"body": ["452 4.3.1 Disk full"]}, 5, Verdict.BLOCKED, 452),
        ({"body": ["250 2.0.0 ok"]}, 5, Verdict.NOT_SENT, 0),
        ({"body": [DROP]}, 5, Verdict.NOT_SENT, 0),
    ],
)
def test_knows_to_the_byte_whether_a_body_has_left(
    replies: dict[str, Any], count: int, verdict: Verdict, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(monkeypatch, count)
    with SmtpServer(replies) as server:
        outcome = only_outcome(server, timeout=0.5)
    assert (outcome.verdict, outcome.code) == (verdict, code)
    assert len(arrived(server)) == (1 if count == -1 else 0)


def test_goes_on_after_a_body_that_was_turned_down_halfway(monkeypatch: pytest.MonkeyPatch) -> None:
    with SmtpServer({"body": ["552 5.3.4 Too big"]}) as server, Session(transport(server)) as session:
        with monkeypatch.context() as patch:
            cut(patch, 5)
            outcomes = session.deliver(envelopes(3))
            assert next(outcomes)[1].verdict == "rejected"
        assert [outcome.verdict for _, outcome in outcomes] == ["sent", "sent"]
    assert arrived(server) == [1, 2]


def test_replaces_a_connection_that_died_while_idle() -> None:
    with SmtpServer({"mail": ["250 ok", DROP]}) as server, Session(transport(server)) as session:
        for _ in range(2):
            assert [outcome.verdict for _, outcome in session.deliver(envelopes(1))] == ["sent"]
    assert server.connections == 2
    assert arrived(server) == [0, 0]


# -- how far it goes --------------------------------------------------------------------------------------------


def test_sends_nothing_while_nobody_asks() -> None:
    pulled: list[int] = []

    def source() -> Iterator[Envelope]:
        for envelope in envelopes(10):
            pulled.append(envelope.key)
            yield envelope

    with SmtpServer() as server, Session(transport(server)) as session:
        outcomes = session.deliver(source())
        next(outcomes)
        assert pulled == [0, 1]
        next(outcomes)
        assert pulled == [0, 1, 2]
        assert arrived(server) == [0, 1]
        outcomes.close()  # type: ignore[attr-defined]
        assert [outcome.verdict for _, outcome in session.deliver(envelopes(1))] == ["sent"]
    assert arrived(server) == [0, 1, 0]


@pytest.mark.parametrize("extensions", [PIPELINING, NO_PIPELINING])
def test_stops_between_messages(extensions: tuple[str, ...]) -> None:
    with SmtpServer(extensions=extensions) as server, Session(transport(server)) as session:
        outcomes = list(session.deliver(envelopes(10), lambda: len(server.bodies) >= 2))
        assert [outcome.verdict for _, outcome in outcomes[:2]] == ["sent", "sent"]
        assert all(outcome.verdict == "not_sent" for _, outcome in outcomes[2:])
        assert len(outcomes) <= 4
        assert arrived(server) == [0, 1]
        assert list(session.deliver(envelopes(1), lambda: True)) == []
        assert [outcome.verdict for _, outcome in session.deliver(envelopes(1))] == ["sent"]


def test_keeps_two_deliveries_apart() -> None:
    with SmtpServer() as server, Session(transport(server)) as session:
        one, other = session.deliver(envelopes(3)), session.deliver(envelopes(3))
        pairs = [[str(outcome.verdict) for _, outcome in pair] for pair in zip(one, other, strict=True)]
    assert pairs == [["sent", "sent"]] * 3
    assert arrived(server) == [0, 0, 1, 1, 2, 2]


def test_survives_a_source_that_fails() -> None:
    def source() -> Iterator[Envelope]:
        yield from envelopes(2)
        raise RuntimeError("no more")

    with SmtpServer() as server, Session(transport(server)) as session:
        with pytest.raises(RuntimeError, match="no more"):
            list(session.deliver(source()))
        assert [outcome.verdict for _, outcome in session.deliver(envelopes(1))] == ["sent"]
    assert arrived(server) == [0, 0]


# -- encryption -------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    path.write_text(CERTIFICATE)
    return path


TLS = (*PIPELINING, "STARTTLS")


def test_encrypts_and_checks_who_answers(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SmtpServer(extensions=TLS, certificate=certificate) as server:
        stranger = only_outcome(server, security=Security.STARTTLS)
        assert (stranger.verdict, stranger.stage) == (Verdict.BLOCKED, Stage.STARTTLS)
        assert "certificate" in stranger.text
        assert verdicts(server, 2, security=Security.STARTTLS, verify=False) == ["sent", "sent"]
        server.bodies.clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        wire._tls.cache_clear()
        assert verdicts(server, 2, security=Security.STARTTLS) == ["sent", "sent"]
    wire._tls.cache_clear()


def test_sends_nothing_in_the_clear_where_starttls_is_not_offered() -> None:
    with SmtpServer() as server:
        outcome = only_outcome(server, security=Security.STARTTLS, username="jo", password="secret")
    assert (outcome.verdict, outcome.stage) == (Verdict.BLOCKED, Stage.STARTTLS)
    assert [command.split(" ")[0] for command in server.commands] == ["ehlo", "quit"]


def test_trusts_nothing_that_was_said_before_encryption(certificate: Path) -> None:
    replies: dict[str, list[str | bytes]] = {"starttls": [b"220 go\r\n250 injected\r\n"]}
    with SmtpServer(replies, TLS, certificate) as server:
        outcome = only_outcome(server, security=Security.STARTTLS, verify=False)
    assert (outcome.verdict, outcome.stage) == (Verdict.BLOCKED, Stage.STARTTLS)


def test_speaks_tls_from_the_first_byte(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    inbox = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(inbox, "127.0.0.1", port, server_hostname="test", ssl_context=context)
    controller.start()
    try:
        with Session(Transport("127.0.0.1", port, security=Security.TLS, verify=False)) as session:
            assert [outcome.verdict for _, outcome in session.deliver(envelopes(2))] == ["sent", "sent"]
    finally:
        controller.stop()
    assert len(inbox.mails) == 2


def test_is_blocked_when_it_cannot_log_in() -> None:
    with SmtpServer() as server:
        outcome = only_outcome(server, username="jo", password="secret")
    assert (outcome.verdict, outcome.stage) == (Verdict.BLOCKED, Stage.AUTH)


# -- the pure parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "verdict"),
    [
        ("dot", 250, "2.0.0", "sent"),
        ("dot", 250, "", "sent"),
        ("connect", 0, "", "blocked"),
        ("greeting", 421, "", "blocked"),
        ("greeting", 554, "5.7.1", "blocked"),
        ("ehlo", 550, "", "blocked"),
        ("starttls", 454, "4.7.0", "blocked"),
        ("auth", 535, "5.7.8", "blocked"),
        ("auth", 454, "4.7.0", "blocked"),
        ("mail", 451, "4.7.1", "blocked"),
        ("mail", 550, "5.1.8", "blocked"),
        ("mail", 552, "", "rejected"),
        ("mail", 554, "5.3.4", "rejected"),
        ("rcpt", 450, "4.2.0", "deferred"),
        ("rcpt", 451, "4.7.1", "deferred"),
        ("rcpt", 421, "4.7.28", "blocked"),
        ("dot", 421, "", "blocked"),
        ("rcpt", 452, "4.2.2", "deferred"),
        ("rcpt", 550, "5.1.1", "rejected"),
        ("rcpt", 550, "5.1.7", "blocked"),
        ("rcpt", 550, "5.7.1", "blocked"),
        ("rcpt", 550, "", "rejected"),
        ("rcpt", 530, "", "blocked"),
        ("rcpt", 503, "", "blocked"),
        ("data", 354, "", "rejected"),
        ("data", 554, "5.5.1", "rejected"),
        ("dot", 451, "4.3.0", "blocked"),
        ("dot", 451, "4.4.1", "deferred"),
        ("dot", 552, "5.2.2", "rejected"),
        ("dot", 554, "", "rejected"),
        ("dot", 550, "5.7.26", "blocked"),
        ("dot", 550, "5.7.515", "blocked"),
    ],
)
def test_reply_is_classified_by_stage_and_code(stage: str, code: int, enhanced: str, verdict: str) -> None:
    assert classify(Stage(stage), code, enhanced) == verdict


@pytest.mark.parametrize(
    ("line", "verdict", "hard", "vague"),
    [
        # Exim, qmail, Courier, Exchange, sendmail: nobody of that name.
        ("550 Unknown user", "rejected", True, False),
        ("550 No such user here", "rejected", True, False),
        ("550 sorry, no mailbox here by that name. (#5.1.1)", "rejected", True, False),
        ("550 unrouteable address", "rejected", True, False),
        ("550 User <jo@example.com> doesn't exist", "rejected", True, False),
        ("551 this mailbox is disabled", "rejected", True, False),
        ("554 delivery error: dd This user doesn't have a yahoo.com account (jo@yahoo.com)", "rejected", True, False),
        ("554 30 Sorry, your message cannot be delivered. This mailbox is disabled (554.30).", "rejected", True, False),
        ("552 1 Requested mail action aborted, mailbox not found", "rejected", True, False),
        ("511 sorry, no mailbox here by that name", "rejected", True, False),
        ("550 5.5.0 No such user here", "rejected", True, False),
        ("550 5.5.0 Requested action not taken: mailbox unavailable", "rejected", False, False),
        ("550 Recipient verification failed: no such user here", "rejected", True, False),
        # Whatever the address is made of, and whomever the advice is for.
        ("550 5.1.1 <jo@sender.com>: Recipient address rejected: User unknown", "rejected", True, False),
        ("550 5.1.1 <password@x.com>... User unknown", "rejected", True, False),
        ("550 <envelope-club@x.com> unknown user", "rejected", True, False),
        ("550 5.1.1 Address not found; the sender should check it", "rejected", True, False),
        ("550 5.2.1 Account disabled, sender should contact recipient", "rejected", True, False),
        # The same servers, when they want nothing of ours.
        ("550 relay not permitted", "blocked", False, False),
        ("550 #5.7.1 Your access to submit messages to this e-mail system has been rejected.", "blocked", False, False),
        ("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "blocked", False, False),
        ("550 Rejected because 192.0.2.1 is in a black list at zen.spamhaus.org", "blocked", False, False),
        ("554 rejected due to spam content", "blocked", False, False),
        ("550 SPF check failed", "blocked", False, False),
        ("554 5.0.0 rejected due to spam content", "blocked", False, False),
        # Or of the sender's, which some tell by the codes for recipients.
        ("550 5.1.0 <us@example.com> sender rejected : invalid sender domain", "blocked", False, False),
        ("550 5.1.1 Sender address rejected: Domain not found", "blocked", False, False),
        ("550 5.1.2 Your domain is not found in DNS", "blocked", False, False),
        ("550 Sender verify failed", "blocked", False, False),
        ("550 Verification failed for <us@example.com> Unrouteable address", "blocked", False, False),
        ("550 Your account has been disabled, contact support", "blocked", False, False),
        ("550 Sender mailbox unknown (callout failed)", "blocked", False, False),
        ("550 Mail from unknown user not accepted", "blocked", False, False),
        ("550 Unknown user name or bad password", "blocked", False, False),
        ("550 This account is inactive: renew your plan to send mail", "blocked", False, False),
        # Or of how much we send, which passes.
        ("454 Throttling failure: Daily message quota exceeded.", "blocked", False, False),
        ("450 4.7.1 Client host [192.0.2.1] rejected: rate limit exceeded for your IP", "blocked", False, False),
        ("451 4.7.650 [192.0.2.1] has been temporarily rate limited due to IP reputation", "blocked", False, False),
        ("450 4.7.1 Helo command rejected: Host not found", "blocked", False, False),
        ("450 4.1.8 Sender address rejected: Domain not found", "blocked", False, False),
        # That passes too, for this recipient.
        ("450 4.7.1 Greylisted, too many messages from your IP; come back in 300 s", "deferred", False, False),
        ("451 4.7.1 Please try again later", "deferred", False, False),
        ("452 mailbox quota exceeded", "deferred", False, False),
        ("452 4.1.0 too many messages for this recipient", "deferred", False, False),
        ("452 too many messages in mailbox", "deferred", False, False),
        ("451 mailbox message limit reached", "deferred", False, False),
        ("452 <jo@x.com> message quota exceeded for user", "deferred", False, False),
        ("450 4.7.1 <jo@x.com>: Recipient address rejected: mailbox quota policy", "deferred", False, False),
        ("451 4.4.1 connect to mx.relay.com[192.0.2.1]:25: Connection timed out", "deferred", False, False),
        ("451 4.7.1 connect to relay.com[192.0.2.1]:25 failed", "deferred", False, False),
        ("450 4.2.1 The user you try to reach gets mail too quickly, sender", "deferred", False, False),
        (
            "550 5.2.1 The user is receiving mail at a rate that prevents more from being taken",
            "deferred",
            False,
            False,
        ),
        # It might be either.
        ("550 Requested action not taken: mailbox unavailable", "rejected", False, True),
        ("550 No", "rejected", False, True),
        ("550", "rejected", False, True),
        ("550 #5.1.0 Address rejected.", "rejected", False, True),
        ("554 5.0.0 Service unavailable", "rejected", False, True),
        # A version or an address is no enhanced code.
        ("550 5.1.1.7 is not welcome", "rejected", False, True),
        ("550 look at 10.5.1.1", "rejected", False, True),
    ],
)
def test_a_refusal_without_a_code_of_its_own_is_told_by_its_words(
    line: str, verdict: str, hard: bool, vague: bool
) -> None:
    outcome = Outcome.of(Stage.RCPT, Reply.parse(int(line[:3]), [line[4:].encode()]))
    assert (outcome.verdict, outcome.hard, outcome.vague) == (verdict, hard, vague)


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "hard"),
    [
        ("rcpt", 550, "5.1.1", True),
        ("rcpt", 550, "5.2.1", True),
        ("rcpt", 550, "5.1.10", True),
        ("dot", 550, "5.1.1", True),
        ("rcpt", 550, "", False),
        ("rcpt", 551, "", False),
        ("rcpt", 553, "", False),
        ("rcpt", 552, "", False),
        ("dot", 550, "", False),
        ("rcpt", 550, "5.2.2", False),
        ("rcpt", 550, "5.4.1", False),
        ("rcpt", 550, "5.7.1", False),
        ("rcpt", 451, "4.1.1", False),
    ],
)
def test_refusal_is_hard_only_where_the_mailbox_does_not_exist(
    stage: str, code: int, enhanced: str, hard: bool
) -> None:
    assert Outcome.of(Stage(stage), Reply(code, enhanced, "")).hard is hard


@pytest.mark.parametrize(
    ("code", "lines", "enhanced", "text"),
    [
        (550, [b"5.1.1 No such user"], "5.1.1", "No such user"),
        (550, [b"5.7.26 This mail", b"5.7.26 is unauthenticated"], "5.7.26", "This mail is unauthenticated"),
        (450, [b"5.1.1 of another class"], "", "5.1.1 of another class"),
        (550, [b"\x1b[31mred\x00\x7f \xff"], "", "[31mred \ufffd"),
        (250, [b""], "", ""),
        (550, [b"x" * 4000], "", "x" * 500),
        (550, [b"5.1.1"], "5.1.1", ""),
    ],
)
def test_reply_text_is_safe_to_show(code: int, lines: list[bytes], enhanced: str, text: str) -> None:
    assert Reply.parse(code, lines) == (code, enhanced, text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", Transport("mail.example.com", 25)),
        ("smtp://mail.example.com?starttls=1", Transport("mail.example.com", 587, security=Security.STARTTLS)),
        ("smtps://mail.example.com", Transport("mail.example.com", 465, security=Security.TLS)),
        ("smtp://[::1]:2525/", Transport("::1", 2525)),
        ("smtp://jo%40x:p%3A%2F@h:26", Transport("h", 26, "jo@x", "p:/")),
        (
            "smtp://h?timeout=5&pipelining=no&max_messages=0&verify=0&connections=50",
            Transport("h", timeout=5, pipelining=False, max_messages=0, verify=False, connections=50),
        ),
    ],
)
def test_transport_is_read_from_a_url(url: str, expected: Transport) -> None:
    assert Transport.from_url(url) == expected


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", "write smtp://"),
        ("http://h", "write smtp://"),
        ("smtp://", "write smtp://"),
        ("smtp://h:port", "write smtp://"),
        ("smtp://h:99999", "write smtp://"),
        ("smtp://jo:p#ssw@h", "percent-encoded"),
        ("smtp://[h", "write smtp://"),
        ("smtp://h?tls=1", "unknown option 'tls'"),
        ("smtp://h?timeout=soon", "number of seconds"),
        ("smtp://h?timeout=nan", "number of seconds"),
        ("smtp://h?timeout=0", "number of seconds"),
        ("smtp://h?max_messages=-1", "whole number"),
        ("smtp://h?connections=51", "connections .* 1 to 50"),
        ("smtp://h?starttls=maybe", "1 or 0"),
        ("smtps://h?starttls=1", "not both"),
    ],
)
def test_transport_url_that_is_wrong_is_explained(url: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        Transport.from_url(url)


def test_transport_never_shows_its_password() -> None:
    assert "hunter2" not in repr(Transport.from_url("smtp://jo:hunter2@h"))
    with pytest.raises(ValueError, match="option") as error:
        Transport.from_url("smtp://jo:hunter2@h?x=1")
    assert "hunter2" not in str(error.value)
