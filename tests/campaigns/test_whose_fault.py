"""A refusal is a recipient's, or ours: nobody pays for what was about us, and nobody stops the others."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from campaigns import lifecycle, mailer, services
from campaigns.mailer import Crew, Report
from campaigns.models import Campaign, MailBreaker, Recipient, Suppression
from campaigns.services.deliver import Delivery
from campaigns.smtp import Transport
from queue_core.errors import TaskCancelled
from tests.campaigns.smtp_server import DROP, SmtpServer
from tests.factories import CampaignFactory, TemplateFactory, add_recipients, counts_by_scan

pytestmark = pytest.mark.django_db(transaction=True)
Work = Callable[..., None]


def launched(count: int, **options: object) -> Campaign:
    campaign = CampaignFactory.create(**options)
    add_recipients(campaign, count)
    return services.launch(campaign)


def states(campaign: Campaign) -> dict[str, int]:
    scanned = counts_by_scan(campaign)
    assert lifecycle.counts(campaign.pk) == scanned
    return {state: n for state, n in scanned.items() if n}


def failures() -> int:
    return sum(MailBreaker.objects.values_list("failures", flat=True))


@pytest.mark.parametrize(
    "reply",
    [
        "550 relay not permitted",
        "550 #5.7.1 Your access has been rejected",
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        "421 4.7.0 Too many messages from your IP",
        "550 No",
        "550",
    ],
)
def test_a_relay_that_wants_none_of_our_mail_costs_nobody_anything(smtp: SmtpServer, work: Work, reply: str) -> None:
    smtp.script(rcpt=[reply] * 100)
    campaign = launched(30)
    work()
    found = states(campaign)
    assert set(found) == {"deferred", "pending"}
    # Heard when a group has its answers, not after the third one.
    assert found["pending"] >= 10
    assert not Suppression.objects.exists()
    assert failures() == 1
    smtp.script()
    for _ in range(3):
        work(wait=False)
    assert states(campaign) == {"sent": 30}
    assert set(Counter(smtp.addressed()).values()) == {1}


def test_a_refusal_in_few_words_among_others_that_are_taken_is_about_the_recipient(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str]
) -> None:
    smtp.towards = {f"r{n}@example.com": "550 No" for n in (3, 9, 10)}
    campaign = launched(20)
    work()
    assert state_of(campaign) == "completed"
    assert states(campaign) == {"sent": 17, "rejected": 3}
    assert not Suppression.objects.exists()
    assert failures() == 0


def test_a_message_at_which_the_server_hangs_up_is_given_up_and_stops_nobody(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str], settings: object
) -> None:
    settings.CAMPAIGNS_DEFER_SECONDS = [60, 300]  # type: ignore[attr-defined]
    smtp.towards = {"r0@example.com": DROP}
    campaign = launched(20)
    for _ in range(8):
        work(wait=False)
    assert state_of(campaign) == "completed"
    assert states(campaign) == {"sent": 19, "rejected": 1}
    row = Recipient.objects.get(state="rejected")
    assert row.attempts == 3
    assert row.detail.startswith("gave up after 3 attempts: The server closed the connection")
    assert failures() == 0


def test_what_a_template_error_says_can_always_be_written(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str]
) -> None:
    template = TemplateFactory.create(html="<p>{{ 10 / (recipient.share|int) }}</p>")
    campaign = CampaignFactory.create(template=template)
    add_recipients(campaign, 3)
    Recipient.objects.update(attributes={"share": 2})
    Recipient.objects.filter(email="r1@example.com").update(attributes={"share": 0})
    services.launch(campaign)
    compiled = "templates_app.rendering.compiled._explain"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, lambda *args, **options: "a\x00b \ud800 " + "x" * 2000)
        work()
    assert state_of(campaign) == "completed"
    assert states(campaign) == {"sent": 2, "rejected": 1}
    detail = Recipient.objects.get(state="rejected").detail
    assert "a\\x00b \\ud800" in detail
    assert len(detail) == 500


def test_an_answer_that_comes_while_everybody_goes_home_is_never_taken_for_not_begun(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender has its 250 and is held up before it can say so; the chunk ends without it."""
    monkeypatch.setattr("campaigns.mailer.crew._LEAVE_SECONDS", 0.2)
    report = Crew._report

    def slow(crew: Crew, report_: Report) -> None:
        crew.halt()
        time.sleep(1)
        report(crew, report_)

    campaign = launched(3)
    with monkeypatch.context() as patch:
        patch.setattr(Crew, "_report", slow)
        work()
    time.sleep(1.2)
    work(wait=False)
    assert set(Counter(smtp.addressed()).values()) == {1}
    assert states(campaign) == {"sent": 2, "unconfirmed": 1}


def test_a_task_that_is_told_to_end_between_two_reports_forgets_none(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer, "transport", lambda: Transport("127.0.0.1", smtp.port, connections=4))
    note, seen = Delivery.note, []

    def interrupted(delivery: Delivery, *args: object) -> None:
        seen.append(args)
        if len(seen) == 5:
            raise TaskCancelled
        note(delivery, *args)  # type: ignore[arg-type]

    campaign = launched(30)
    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "note", interrupted)
        work()
    found = states(campaign)
    assert found.get("unconfirmed", 0) == 0
    assert found["sent"] == len(smtp.bodies)
