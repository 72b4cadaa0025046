"""Mail as receivers see it: a campaign over SMTP, read by the standard library and by a parser that shares no code."""

import email
import email.policy
import email.utils
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import fast_mail_parser
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaigns import services
from campaigns.models import Campaign, DkimKey, Recipient
from tests.campaigns.smtp_server import SmtpServer
from tests.campaigns.test_dkim import key, verifies
from tests.campaigns.test_message import built, lines
from tests.factories import CampaignFactory, TemplateFactory

NAMES = {
    "plain@example.com": "Jo Doe",
    "comma@example.com": "Doe, Jo (she/her)",
    "quotes@example.com": 'Jo "the" Doe\\',
    "emoji@example.com": "🎉 Zoë 👩‍👩‍👧 Ångström",
    "rtl@example.com": "שלום עולם \u202bمرحبا\u202c",
    "cjk@example.com": "李小龙" * 12,
    "long@example.com": "Maximiliane " * 6,
    "word@example.com": "=?utf-8?q?not_a_word?=",
    "nobody@example.com": "",
}
SUBJECT = "Für dich, {{ recipient.name|default('') }}: 🎁 " + "sehr lange Betreffzeilen " * 6
HTML = "<p>{{ recipient.name|default('') }}</p><p>" + "ä" * 3_000 + '</p><a href="{{ unsubscribe_url }}">Abmelden</a>'
TEXT = "Grüße\n" + "x" * 5_000 + "\n.\n.. Punkte\n{{ unsubscribe_url }}"


def both(raw: bytes) -> tuple[EmailMessage, Any]:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert not message.defects
    return message, fast_mail_parser.parse_email(raw)  # type: ignore[return-value]


def bodies_agree(message: EmailMessage, other: Any, subtype: str) -> str:
    part = message.get_body((subtype,))
    assert part is not None
    text = part.get_payload(decode=True).decode()  # type: ignore[union-attr]
    (seen,) = other.text_plain if subtype == "plain" else other.text_html
    assert seen == text
    return text


@pytest.mark.parametrize("offers_8bit", [True, False])
def test_both_parsers_read_every_mail_of_a_campaign_alike(
    smtp: SmtpServer, work: Callable[..., None], offers_8bit: bool
) -> None:
    if not offers_8bit:
        smtp.extensions = ("PIPELINING",)
    row: DkimKey = key()
    template = TemplateFactory.create(subject=SUBJECT, html=HTML, text=TEXT)
    campaign: Campaign = CampaignFactory.create(
        template=template, from_email='"Tee & Träume, Köln 🍵" <jo@example.com>', reply_to="Büro <buero@bücher.example>"
    )
    services.add_recipients(campaign, [{"email": address, "name": name} for address, name in NAMES.items()])
    services.launch(campaign)
    work()
    assert set(Recipient.objects.values_list("state", flat=True)) == {"sent"}
    assert len(smtp.bodies) == len(NAMES)
    for raw in smtp.bodies:
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        assert verifies(raw, row)
        message, other = both(raw)
        (to,) = message["To"].addresses
        name = NAMES[to.addr_spec].strip()
        assert other.to[0].address == to.addr_spec
        assert (other.to[0].display_name or "") == name
        assert other.from_.display_name == "Tee & Träume, Köln 🍵"
        subject = " ".join(SUBJECT.replace("{{ recipient.name|default('') }}", name).split())
        assert " ".join(message["Subject"].split()) == " ".join(other.subject.split()) == subject
        assert email.utils.parsedate_to_datetime(other.date) == message["Date"].datetime
        assert message["List-Unsubscribe"] == other.headers["List-Unsubscribe"][0]
        assert other.headers["List-Unsubscribe-Post"] == ["List-Unsubscribe=One-Click"]
        link = message["List-Unsubscribe"].split("<")[-1].rstrip(">")
        assert link in bodies_agree(message, other, "html")
        assert "\r\n.\r\n.. Punkte\r\n" in bodies_agree(message, other, "plain")


_LINE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200)


@given(_LINE, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@example("=?utf-8?q?not_a_word?=", "\u202eabc")
@example("🎉" * 90, "é" * 1_000)
@example("long words " + "y" * 400, ".\n..\n")
def test_both_parsers_read_any_subject_and_text_alike(subject: str, text: str) -> None:
    message, other = both(built(subject=subject, text=text, html=text)[0])
    assert " ".join(other.subject.split()) == " ".join(message["Subject"].split()) == " ".join(subject.split())
    assert bodies_agree(message, other, "plain") == bodies_agree(message, other, "html") == lines(text)
