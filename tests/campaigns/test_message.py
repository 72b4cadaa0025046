"""campaigns.message: a built message ..."""

import email
import email.header
import email.policy
import email.utils
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaigns.message import Letter, MessageError, Skeleton, message_id, parse_message_id

NOW = datetime(2026, 11, 23, 12, 30, 5, tzinfo=UTC)
KEY = b"0123456789abcdef"
UNSUBSCRIBE = f"<mailto:stop@example.com?subject=stop>, <https://example.com/unsubscribe/{'t' * 120}>"


def letter(**changes: Any) -> Letter:
    values = {"to": "jo@example.com", "subject": "Hello", "html": "<p>Hello</p>", "text": "Hello", **changes}
    parts = {part: (values[part],) for part in ("html", "text")}
    return Letter(**{"message_id": "<1.2.abc@example.com>", "date": NOW, **values, **parts})


def built(skeleton: Skeleton | None = None, *, eight_bit: bool = False, **changes: Any) -> tuple[bytes, EmailMessage]:
    raw = (skeleton or Skeleton("Team <team@example.com>")).build(letter(**changes), eight_bit=eight_bit)
    assert raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert eight_bit or raw.isascii()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert not message.defects
    return raw, message  # type: ignore[return-value]


def content(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    assert part is not None
    return part.get_payload(decode=True).decode()  # type: ignore[union-attr]


def shown_name(raw: bytes, header: str) -> str:
    """The display name by RFC 2047; the address parser of email.policy.default keeps blanks between encoded words."""
    name, _ = email.utils.parseaddr(email.message_from_bytes(raw)[header])
    return str(email.header.make_header(email.header.decode_header(name)))


def lines(text: str) -> str:
    """How a text arrives: CRLF line ends, the last one always there."""
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    return (unix if unix.endswith("\n") else unix + "\n").replace("\n", "\r\n")


def test_reads_back_field_by_field() -> None:
    skeleton = Skeleton("Team <team@example.com>", "Desk <desk@example.com>, x@example.com", {"Precedence": "bulk"})
    raw, message = built(
        skeleton, to_name="Jo Doe", headers={"List-Unsubscribe": UNSUBSCRIBE, "List-Id": "News <n.ex>"}
    )
    assert message["From"] == "Team <team@example.com>"
    assert message["To"] == "Jo Doe <jo@example.com>"
    assert message["Reply-To"] == "Desk <desk@example.com>, x@example.com"
    assert message["Subject"] == "Hello"
    assert message["Date"].datetime == NOW
    assert message["Message-ID"] == "<1.2.abc@example.com>"
    assert message["Precedence"] == "bulk"
    assert message["List-Unsubscribe"] == UNSUBSCRIBE
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_subtype() for part in message.iter_parts()] == ["plain", "html"]
    assert content(message, "plain") == "Hello\r\n"
    assert content(message, "html") == "<p>Hello</p>\r\n"
    assert b"=?" not in raw


@pytest.mark.parametrize(
    ("changes", "content_type"),
    [({"html": ""}, "text/plain"), ({"text": ""}, "text/html"), ({}, "multipart/alternative")],
)
def test_has_alternatives_only_where_there_are_two(changes: dict[str, str], content_type: str) -> None:
    assert built(**changes)[1].get_content_type() == content_type


@pytest.mark.parametrize(
    ("text", "eight_bit", "encoding"),
    [
        ("plain ASCII", False, "7bit"),
        ("plain ASCII", True, "7bit"),
        ("a few ümlauts in a longer line of text, as Germans write them", False, "quoted-printable"),
        ("a few ümlauts", True, "8bit"),
        ("только кириллица", False, "base64"),
        ("x" * 2000, False, "quoted-printable"),
        ("x" * 2000, True, "quoted-printable"),
        ("ж" * 2000, True, "base64"),
        ("x\x00y", False, "base64"),
        ("trailing blanks  \nand tab\t\n" + "x" * 1200, False, "quoted-printable"),
        (".\n..\n.dots\n", False, "7bit"),
    ],
)
def test_encodes_a_part_only_as_far_as_it_must(text: str, eight_bit: bool, encoding: str) -> None:
    message = built(html="", text=text, eight_bit=eight_bit)[1]
    assert message["Content-Transfer-Encoding"] == encoding
    assert content(message, "plain") == lines(text)


def test_takes_another_boundary_when_a_text_holds_it() -> None:
    skeleton = Skeleton("team@example.com")
    boundary = built(skeleton)[1].get_boundary()
    message = built(skeleton, text=f"--{boundary}--\n")[1]
    assert message.get_boundary() != boundary
    assert content(message, "plain") == f"--{boundary}--\r\n"


@pytest.mark.parametrize(
    "name", ["Jo Doe", "Doe, Jo (she)", 'Jo "the" Doe\\', "Jörg Müller", "李小龙", "🎉 Team", "é" * 200, "J" * 400]
)
def test_shows_names_as_they_were_given(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    raw, message = built(Skeleton(f'"{quoted}" <team@example.com>'), to_name=name)
    assert shown_name(raw, "To") == name
    assert shown_name(raw, "From") == name
    assert message["To"].addresses[0].addr_spec == "jo@example.com"


_LINE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300)


@given(_LINE, _LINE)
@example("=?utf-8?q?not_a_word?=", "=?utf-8?q?x?=")
@example("🎉" * 90, "🎉" * 90)
@example("long words " + "y" * 400, "")
@example("double  blanks   " * 12, "a  b")
def test_keeps_any_subject_and_name(subject: str, name: str) -> None:
    raw, message = built(subject=subject, to_name=name)
    assert message["Subject"] == subject.strip()
    # Blanks in a row are one blank in a phrase, RFC 5322, 3.2.2.
    assert shown_name(raw, "To") == " ".join(name.split())


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.booleans(),
)
@example("\r", "\n", False)
@example("x" * 999, "é" * 500, True)
def test_keeps_any_text(text: str, html: str, eight_bit: bool) -> None:
    message = built(text=text, html=html, eight_bit=eight_bit)[1]
    assert content(message, "html") == lines(html)
    if text:
        assert content(message, "plain") == lines(text)


@pytest.mark.parametrize("bad", ["a\r\nBcc: x@example.org", "a\nb", "a\rb", "a\x00b", "a\x0bb", "a\u2028b", "a\ud800b"])
@pytest.mark.parametrize("place", ["subject", "to_name", "header", "list_header", "message_id", "to"])
def test_never_lets_a_value_start_a_line(place: str, bad: str) -> None:
    changes: dict[str, Any] = {
        "header": {"headers": {"X-Note": bad}},
        "list_header": {"headers": {"List-Unsubscribe": bad}},
        "message_id": {"message_id": f"<{bad}>"},
    }.get(place, {place: bad})
    with pytest.raises(MessageError):
        built(**changes)


@pytest.mark.parametrize(
    "raw", ["a\nb <t@example.com>", "", "nobody", "a@example.com, b@example.com", "jörg@example.com"]
)
def test_is_refused_for_a_bad_sender(raw: str) -> None:
    with pytest.raises(MessageError, match="From: "):
        Skeleton(raw)


@pytest.mark.parametrize(
    "name",
    [
        *("To", "cc", "BCC", "From", "Sender", "Return-Path", "DKIM-Signature", "Message-ID", "Received", "Subject"),
        *("Content-Type", "ARC-Seal", "Resent-To", "Reply-To", "X A", "X:A", "X\r\nBcc", "Ü", ""),
    ],
)
def test_is_refused_for_a_header_that_is_not_the_campaigns(name: str) -> None:
    with pytest.raises(MessageError):
        Skeleton("team@example.com", headers={name: "x"})
    with pytest.raises(MessageError):
        built(headers={name: "x"})


def test_is_refused_for_a_header_given_twice() -> None:
    with pytest.raises(MessageError, match="already a header of the campaign"):
        built(Skeleton("team@example.com", headers={"X-Note": "a"}), headers={"x-note": "b"})


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"headers": {"List-Unsubscribe": "<https://example.com/ü>"}}, "percent-encode"),
        ({"headers": {"X-Note": "x" * 1000}}, "shorten it"),
        ({"to": "jo"}, "correct the address"),
        ({"message_id": "1.2"}, "angle brackets"),
        ({"text": "\ud800"}, "correct the template"),
    ],
)
def test_that_cannot_be_sent_says_what_to_change(changes: dict[str, Any], advice: str) -> None:
    with pytest.raises(MessageError, match=advice):
        built(**changes)


def test_never_encodes_an_unsubscribe_url() -> None:
    url = "<https://example.com/u?q==?utf-8?q?x?=>"
    assert f"List-Unsubscribe: {url}\r\n".encode() in built(headers={"List-Unsubscribe": url})[0]


def test_id_leads_back_to_its_row() -> None:
    value = message_id(7, 12345, "example.com", KEY)
    assert value == message_id(7, 12345, "example.com", KEY)
    assert parse_message_id(value, [KEY]) == (7, 12345)
    assert parse_message_id(f" {value[1:-1]} ", [b"a later one", KEY]) == (7, 12345)


@pytest.mark.parametrize(
    "change", [("7.", "8."), (".12345.", ".12346."), ("<", "<0"), ("@", "0@"), ("@example.com", "")]
)
def test_id_of_somebody_else_leads_nowhere(change: tuple[str, str]) -> None:
    value = message_id(7, 12345, "example.com", KEY)
    assert parse_message_id(value.replace(*change, 1), [KEY]) is None
    assert parse_message_id(value, [b"another key"]) is None


@given(st.text())
def test_id_made_of_anything_leads_nowhere(value: str) -> None:
    assert parse_message_id(value, [KEY]) is None
