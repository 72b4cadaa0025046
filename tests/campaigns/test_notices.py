"""Bounces, complaints and the rest, as they are read."""

import random
import time

import pytest

from campaigns.bounces import MAX_BYTES, Kind, parse
from tests.campaigns import notices

ID = "<7.9.0123456789abcdef@example.com>"


def test_a_report_says_who_why_and_which_mail() -> None:
    found = parse(notices.report(ID))
    assert (found.kind, found.recipient, found.status, found.code) == (Kind.HARD, "ann@example.net", "5.1.1", 550)
    assert found.references == (ID,)
    assert found.text.startswith("550 5.1.1 <ann@example.net>: Recipient address rejected")


@pytest.mark.parametrize("original", ["message/rfc822", "text/rfc822-headers", "message/global-headers"])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_the_original_may_be_whole_or_its_headers_only(original: str, ends: bytes) -> None:
    assert parse(notices.report(ID, original=original).replace(b"\n", ends)).references == (ID,)


@pytest.mark.parametrize(
    ("status", "diagnostic", "kind"),
    [
        ("5.1.1", "smtp; 550 no such user", Kind.HARD),
        ("5.1.1 (bad destination mailbox address)", "", Kind.HARD),
        ("5.2.1", "smtp; 550 disabled", Kind.HARD),
        ("5.2.2", "smtp; 552 5.2.2 mailbox full", Kind.SOFT),
        ("5.7.1", "smtp; 550 5.7.1 listed as spam", Kind.REFUSED),
        ("4.4.7", "smtp; 451 too long in the queue", Kind.SOFT),
        ("5.0.0", "smtp; 550 5.1.1 no such user", Kind.HARD),
        ("5.0.0", "smtp; 550-5.7.26 unauthenticated", Kind.REFUSED),
        ("5.0.0", "smtp; 550 no such user", Kind.HARD),
        ("5.0.0", "smtp; 554 no", Kind.SOFT),
        ("5.0.0", "smtp; 550 No", Kind.SOFT),
        ("5.0.0", "no such user", Kind.HARD),
        ("5.0.0", "x-postfix; quota of 500 MB exceeded: 552 full", Kind.SOFT),
        ("4.0.0", "smtp; 450 user unknown", Kind.SOFT),
        ("5.1.1", "smtp; 550 5.1.1 <jo@sender.com> User unknown", Kind.HARD),
        ("5.5.0", "smtp; 550 user unknown", Kind.HARD),
        ("5.3.0", "smtp; 550 No such user here", Kind.HARD),
        ("5.0.0", "smtp; 511 sorry, no mailbox here by that name", Kind.HARD),
        ("4.4.1", "X-Postfix; connect to mx.relay.com[192.0.2.1]:25: Connection timed out", Kind.SOFT),
        ("rubbish", "rubbish [10.5.1.1] 5.5.5.5 1550 x", Kind.SOFT),
    ],
)
def test_only_a_mailbox_that_is_not_there_is_a_hard_bounce(status: str, diagnostic: str, kind: Kind) -> None:
    assert parse(notices.report(ID, status=status, diagnostic=diagnostic)).kind is kind


@pytest.mark.parametrize(
    ("status", "diagnostic"),
    [
        ("5.0.0", "smtp; 550 Blocked - see https://www.spamhaus.org/query/ip/192.0.2.1"),
        ("5.0.0", "smtp; 550 Message rejected as spam"),
        ("5.0.0", "smtp; 550 Access denied, your server is on our blacklist"),
        ("5.0.0", "smtp; 553 sorry, your domain is not allowed"),
        ("5.0.0", "smtp; 550 DMARC policy"),
        ("5.0.0", "smtp; 551 relaying denied"),
        ("5.1.0", "smtp; 550 5.1.0 <us@example.com> sender rejected : invalid sender domain"),
        ("5.1.1", "smtp; 550 5.1.1 Sender address rejected: Domain not found"),
        ("", "blocked using a list"),
        ("4.7.1", "smtp; 450 4.7.1 come back later"),
        ("4.4.7", "x; delivery time expired: 451 messages from your IP are blocked"),
        ("4.3.1", "smtp; 452 4.3.1 disk full"),
    ],
)
def test_a_refusal_of_us_says_nothing_about_the_mailbox(status: str, diagnostic: str) -> None:
    assert parse(notices.report(ID, status=status, diagnostic=diagnostic)).kind is Kind.REFUSED


@pytest.mark.parametrize(
    ("action", "kind"),
    [("delayed", Kind.DELAYED), ("Delivered", Kind.DELIVERED), ("relayed (x)", Kind.DELIVERED), ("", Kind.UNKNOWN)],
)
def test_other_actions_are_no_bounces(action: str, kind: Kind) -> None:
    assert parse(notices.report(ID, action=action)).kind is kind


def test_an_alias_is_only_as_bad_as_the_best_of_its_mailboxes() -> None:
    other = b"Final-Recipient: rfc822; bob@example.net\nAction: relayed\nStatus: 2.0.0\n\n--9B095B5ADSN\nContent-Desc"
    raw = notices.report(ID).replace(b"--9B095B5ADSN\nContent-Description: Undeliv", other + b"ription: Undeliv")
    assert parse(raw).kind is Kind.DELIVERED


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("abuse", Kind.COMPLAINED),
        ("Fraud", Kind.COMPLAINED),
        ("not-spam", Kind.UNKNOWN),
        ("auth-failure", Kind.UNKNOWN),
    ],
)
def test_a_feedback_report_is_a_complaint_when_it_says_so(kind: str, found: Kind) -> None:
    notice = parse(notices.complaint(ID, kind=kind))
    assert (notice.kind, notice.recipient, notice.references) == (found, "ann@example.net", (ID,))


def test_an_automatic_answer_is_no_bounce_whatever_its_text_says() -> None:
    assert parse(notices.holiday(ID)).kind is Kind.AUTO_REPLY


def test_a_read_receipt_is_an_automatic_answer() -> None:
    raw = b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\n\nread\n--b--\n"
    assert parse(raw).kind is Kind.AUTO_REPLY


def test_a_letter_that_only_carries_or_quotes_a_report_is_nobodys_bounce() -> None:
    wrapped = b"Content-Type: multipart/mixed; boundary=w\n\n--w\n\nLook:\n--w\nContent-Type: message/rfc822\n\n"
    assert parse(wrapped + notices.report(ID) + b"\n--w--\n").kind is Kind.UNKNOWN
    quoted = b"From: ann@example.net\n\n> 550 5.1.1 user unknown\n> Action: failed\n"
    assert parse(quoted).kind is Kind.UNKNOWN


@pytest.mark.parametrize("raw", [notices.qmail(ID), notices.exim(ID)])
def test_the_bounces_of_qmail_and_exim_are_read_too(raw: bytes) -> None:
    found = parse(raw)
    assert (found.kind, found.recipient, found.status, found.code) == (Kind.HARD, "ann@example.net", "5.1.1", 550)
    assert found.references == (ID,)


def test_the_text_of_exim_is_that_of_the_refusal() -> None:
    raw = notices.exim(ID).replace(b"host mail.example.net", b"host relay.example.net")
    full = parse(raw.replace(b"550 5.1.1 No such user here", b"552 mailbox full"))
    assert (full.kind, full.code) == (Kind.SOFT, 552)
    assert full.text.startswith("SMTP error from remote mail server")


def test_the_envelope_it_came_back_to_counts_before_what_the_mail_quotes() -> None:
    found = parse(notices.report(ID, to="<bounces+1.2.fedcba9876543210@example.com>"))
    assert found.references == ("1.2.fedcba9876543210@example.com", ID)


HOSTILE = {
    "nothing": b"",
    "no mail": bytes(range(256)) * 100,
    "no charset": b"Content-Type: text/plain; charset=nope\n\n\xff\xfe",
    "a thousand levels": b"".join(
        b"Content-Type: multipart/report; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1_000)
    ),
    "a thousand letters in letters": b"Content-Type: message/rfc822\n\n" * 1_000,
    "as deep as is read": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(49)
    )
    + b"x\n" * 250_000,
    "many recipients": notices.report(ID).replace(b"Remote-MTA", b"\n" * 200_000 + b"Action: failed\n\n" * 30_000),
    "a header without end": b"To: " + b"+" * 600_000,
    "addresses": b"To: " + b"+aaaa@b" * 100_000,
    "no end of brackets": b"References: " + b"<a" * 300_000,
    "blank lines": b"X-Failed-Recipients: a@b.example\n\n" + b"\n \n------" * 90_000,
    "broken encoding": b"Content-Transfer-Encoding: base64\nX-Failed-Recipients: a\n\n!!!" + b"=" * 999,
    "binary fields": notices.report(ID).replace(b"5.1.1", b"\xe9\x00\xff").replace(b"ann", b"\xf0\x9f"),
}


CHARSETS = {
    "extended": b"charset*=x'y'z",
    "NUL": b'charset="a\0b"',
    "idna": b"charset=idna",
    "puny": b"charset=punycode",
}


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize(
    "kind", [b"text/plain", b"multipart/report", b"message/feedback-report", b"text/rfc822-headers"]
)
def test_no_charset_can_hurt(caplog: pytest.LogCaptureFixture, kind: bytes, charset: str) -> None:
    named = b"Content-Type: " + kind + b"; " + CHARSETS[charset] + b"\n\n\xff hello\n"
    for raw in (named, b"Content-Type: multipart/mixed; boundary=w\n\n--w\n" + named + b"--w--\n"):
        assert parse(b"To: bounces@x.example\n" + raw).kind is Kind.UNKNOWN
    assert not caplog.records


def test_a_report_whose_charset_is_none_counts() -> None:
    raw = notices.report(ID).replace(b"charset=us-ascii", b"charset*=x'y'z").replace(b"I'm sorry", b"\xff")
    assert parse(raw).kind is Kind.HARD


def test_what_the_parser_cannot_read_is_for_a_person(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(raw: bytes) -> None:
        raise TypeError("a quirk")

    monkeypatch.setattr("email.message_from_bytes", fail)
    assert parse(notices.report(ID)).kind is Kind.UNKNOWN
    assert "left for a person" in caplog.text


@pytest.mark.parametrize("name", HOSTILE)
def test_no_mail_can_hurt(name: str) -> None:
    began = time.process_time()
    parse(HOSTILE[name])
    assert time.process_time() - began < 5


def test_a_huge_original_does_not_hide_the_report() -> None:
    raw = notices.report(ID).replace(b"Hello Ann", b"x" * 70 + b"\n" + b"y" * MAX_BYTES * 3)
    assert parse(raw).kind is Kind.HARD


def test_a_report_cut_or_damaged_anywhere_is_still_read_without_error() -> None:
    chance = random.Random(1)
    raw = notices.report(ID)
    for _ in range(300):
        damaged = bytearray(raw)
        for _ in range(5):
            damaged[chance.randrange(len(raw))] = chance.randrange(256)
        parse(bytes(damaged[: chance.randrange(len(raw))]))
