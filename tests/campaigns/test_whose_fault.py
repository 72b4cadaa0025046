"""A refusal is a recipient's, or ours: nobody pays for what was about us, and nobody stops the others."""

import email
import io
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.db import OperationalError, connection
from django.utils import timezone

from campaigns import lifecycle, mailer, services
from campaigns.errors import TransportRefused
from campaigns.lifecycle import Leased
from campaigns.mailer import Crew, Report
from campaigns.message import MessageError
from campaigns.models import Campaign, CampaignHour, MailBreaker, Recipient, Suppression
from campaigns.services.chunk import wake_chunks
from campaigns.services.deliver import Delivery
from campaigns.services.letters import Letters
from campaigns.services.take_notice import recipient_of_references
from campaigns.smtp import Envelope, Transport
from queue_core.errors import TaskCancelled
from tests.campaigns.conftest import make_due
from tests.campaigns.smtp_server import DROP, SmtpServer
from tests.factories import CampaignFactory, add_recipients, counts_by_scan

pytestmark = pytest.mark.django_db(transaction=True)
Work = Callable[..., None]
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"


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
        "550 5.1.0 <us@example.com> sender rejected : invalid sender domain",
        "550 Verification failed for <us@example.com>: Unrouteable address",
        "550 Your account has been disabled, contact support",
        "450 4.7.1 Client host [192.0.2.1] rejected: rate limit exceeded for your IP",
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


def test_throttling_is_no_try_of_anybody(smtp: SmtpServer, work: Work) -> None:
    smtp.script(dot=["454 Throttling failure: Daily message quota exceeded."] * 500)
    campaign = launched(30)
    for _ in range(8):
        work(wait=False)
    assert set(Recipient.objects.values_list("attempts", flat=True)) == {0}
    assert failures() >= 1
    smtp.script()
    MailBreaker.objects.all().delete()
    work(wait=False)
    assert states(campaign) == {"sent": 30}


@pytest.mark.parametrize(("known", "suppressed"), [(0, 0), (1, 12)])
def test_a_server_that_knows_nobody_at_all_is_not_believed(
    smtp: SmtpServer, work: Work, known: int, suppressed: int
) -> None:
    """What speaks of us in words that only seem to mean a mailbox would take the whole audience off for good."""
    smtp.towards = {f"r{n}@example.com": "550 5.1.1 no such user" for n in range(12)}
    campaign = launched(12 + known)
    work()
    assert states(campaign) == {"rejected": 12, **({"sent": known} if known else {})}
    assert Suppression.objects.count() == suppressed


def test_few_that_do_not_exist_are_suppressed_at_once(smtp: SmtpServer, work: Work) -> None:
    smtp.script(rcpt=["550 5.1.1 no such user"] * 3)
    launched(3)
    work()
    assert Suppression.objects.count() == 3


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


def test_whatever_is_wrong_with_a_message_can_be_written_down(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = CampaignFactory.create()
    add_recipients(campaign, 3)
    make = Letters.make

    def faulty(letters: Letters, row: Leased) -> Envelope:
        if row.email == "r1@example.com":
            raise MessageError("a\x00b \ud800 " + "x" * 2000)
        return make(letters, row)

    monkeypatch.setattr(Letters, "make", faulty)
    services.launch(campaign)
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
    monkeypatch.setattr("campaigns.services.deliver._PATIENCE", 0.2)
    report = Crew._report

    def slow(crew: Crew, report_: Report) -> None:
        monkeypatch.setattr(Crew, "_report", report)
        crew.halt()
        time.sleep(1)
        report(crew, report_)

    campaign = launched(3)
    monkeypatch.setattr(Crew, "_report", slow)
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


def test_a_server_that_loses_every_answer_leaves_no_audience_in_doubt(smtp: SmtpServer, work: Work) -> None:
    smtp.script(dot=[DROP] * 500)
    campaign = launched(60)
    work()
    found = states(campaign)
    assert found["unconfirmed"] <= 20  # what was in hand when the third answer was missing
    assert found["pending"] >= 40
    assert failures() == 1


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("lost"),
        smtplib.SMTPDataError(550, b"5.7.1 no"),
        smtplib.SMTPRecipientsRefused({"x": (421, b"4.7.0 later")}),
    ],
)
def test_what_a_backend_was_given_is_never_given_to_it_again(
    work: Work, settings: object, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"  # type: ignore[attr-defined]
    services.save_transport(name="m", kind="django", backend=settings.EMAIL_BACKEND, connections=1)  # type: ignore[attr-defined]
    given: list[str] = []

    def send(backend: object, messages: list[EmailMessage]) -> int:
        given.extend(to for message in messages for to in message.to)
        if len(given) == 3:
            raise error
        return len(messages)

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", send)
    campaign = launched(10)
    work()
    assert sorted(Counter(given).values()) == [1] * 10
    assert states(campaign)["sent"] == 9


def test_a_backend_that_hangs_up_before_the_message_has_not_sent_it(smtp: SmtpServer, work: Work) -> None:
    services.save_transport(
        name="m",
        kind="django",
        backend="django.core.mail.backends.smtp.EmailBackend",
        options={"host": "127.0.0.1", "port": smtp.port},
        connections=1,
    )
    smtp.script(mail=["250 ok", DROP], dot=["250 ok", DROP])
    campaign = launched(4)
    work()
    assert states(campaign) == {"sent": 2, "deferred": 1, "unconfirmed": 1}
    assert len(smtp.bodies) == 3


def test_a_pause_waits_for_the_answers_to_what_is_under_way(smtp: SmtpServer, work: Work) -> None:
    smtp.delay = 1.5
    campaign = launched(10)
    pause = threading.Timer(0.7, lambda: (services.pause(campaign), connection.close()))
    pause.start()
    work()
    pause.join()
    found = states(campaign)
    assert found == {"sent": len(smtp.bodies), "pending": 10 - len(smtp.bodies)}


def test_the_state_of_their_system_is_no_fault_of_a_recipient(smtp: SmtpServer, work: Work) -> None:
    smtp.script(dot=["452 4.3.1 disk full"] * 50)
    campaign = launched(20)
    work()
    assert set(Recipient.objects.values_list("attempts", flat=True)) == {0}
    assert failures() == 1
    assert set(states(campaign)) == {"deferred", "pending"}


def test_what_the_server_said_is_kept_with_its_code(smtp: SmtpServer, work: Work) -> None:
    smtp.script(rcpt=["550 5.1.1 no such user"])
    launched(2)
    work()
    assert Recipient.objects.get(state="rejected").detail == "5.1.1 no such user"


def test_a_mail_marked_as_sent_counts_in_the_hours_too(smtp: SmtpServer, work: Work) -> None:
    smtp.script(dot=[DROP])
    campaign = launched(2)
    for _ in range(2):
        work(wait=False)
    services.mark_sent(campaign)
    sent = CampaignHour.objects.filter(campaign=campaign, kind="sent").values_list("n", flat=True)
    assert sum(sent) == states(campaign)["sent"] == 2


def test_mail_that_left_before_the_key_was_changed_is_recognised(
    smtp: SmtpServer, work: Work, settings: object
) -> None:
    launched(1)
    work()
    sent = str(email.message_from_bytes(smtp.bodies[0])["Message-ID"])
    old = settings.SECRET_KEY  # type: ignore[attr-defined]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 10, [old]  # type: ignore[attr-defined]
    assert recipient_of_references([sent]) is not None


def test_the_only_transport_is_not_taken_from_a_campaign_under_way(smtp: SmtpServer) -> None:
    made = services.save_transport(name="only", host="127.0.0.1", port=smtp.port)
    launched(2)
    with pytest.raises(TransportRefused, match="switch it off"):
        services.delete_transport(made)
    services.save_transport(name="another", host="127.0.0.1", port=smtp.port)
    services.delete_transport(made)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"host": "h", "username": "jo", "secret_env": "MAIL_DKIM_KEY"}, "secret_env"),
        ({"kind": "django", "backend": LOCMEM, "options": {"fail_silently": True}}, "options"),
    ],
)
def test_a_transport_neither_hides_failures_nor_gets_a_signing_key(values: dict[str, object], field: str) -> None:
    with pytest.raises(TransportRefused) as refused:
        services.save_transport(name="m", **values)
    assert field in refused.value.errors


def test_a_campaign_within_a_rate_does_not_keep_the_next_one_waiting(
    smtp: SmtpServer, work: Work, settings: object
) -> None:
    settings.CAMPAIGNS_CHUNK_SIZE = 2  # type: ignore[attr-defined]
    slow = launched(60, rate_per_minute=60)
    free = launched(10)
    began = time.monotonic()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set() and lifecycle.counts(free.pk)["sent"] < 10:
            time.sleep(0.05)
        done.set()
        ended.append(time.monotonic())
        connection.close()

    ended: list[float] = []
    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    assert states(free) == {"sent": 10}
    assert ended[0] - began < 10  # 30 chunks, each of which used to wait 1.5 s
    assert lifecycle.counts(slow.pk)["pending"] > 40


# --- domains that want none of our mail, and a transport that takes that of others

POLICY = "554 5.7.1 content rejected as spam"


def mixed(*domains: str, **options: object) -> Campaign:
    """A launched campaign with one recipient after another at these domains."""
    campaign = CampaignFactory.create(**options)
    lines = [f"p{n}@{domain}" for n, domain in enumerate(domains)]
    services.import_recipients(campaign, io.BytesIO("\n".join(["email", *lines]).encode()), filename="p.csv")
    return services.launch(campaign)


def refuse(smtp: SmtpServer, campaign: Campaign, *domains: str, reply: str = POLICY) -> None:
    keys = Recipient.objects.filter(campaign=campaign).values_list("key", flat=True)
    smtp.towards |= {key: reply for key in keys if key.partition("@")[2] in domains}


@pytest.mark.parametrize("first", [True, False])
def test_a_domain_that_refuses_us_is_given_up_and_stops_no_transport(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str], settings: object, first: bool
) -> None:
    settings.CAMPAIGNS_DEFER_SECONDS = [60, 300]  # type: ignore[attr-defined]
    closed, others = ["closed.example"] * 5, ["a.example", "b.example", "c.example"] * 4
    campaign = mixed(*(closed + others if first else others + closed))
    refuse(smtp, campaign, "closed.example")
    work()
    assert failures() == (1 if first else 0)
    wake_chunks(pk=campaign.pk)
    for _ in range(8):
        work()
        assert failures() == 0
        make_due()
    assert state_of(campaign) == "completed"
    assert states(campaign) == {"sent": 12, "rejected": 5}
    given_up = Recipient.objects.filter(state="rejected")
    assert {(row.attempts, row.code) for row in given_up} == {(3, 554)}
    assert all(row.detail.startswith("gave up after 3 attempts: 5.7.1 content") for row in given_up)
    assert not Suppression.objects.exists()


def test_several_such_domains_are_left_alone_in_their_own_chunk_and_others_go_on(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str], settings: object
) -> None:
    settings.CAMPAIGNS_DEFER_SECONDS = [60, 300]  # type: ignore[attr-defined]
    campaign = mixed("x.example", "a.example", "y.example", "b.example", "z.example", "c.example")
    refuse(smtp, campaign, "x.example", "y.example", "z.example")
    work()
    assert states(campaign) == {"sent": 3, "deferred": 3}
    for _ in range(3):
        work(wait=False)
        other = mixed("d.example")
        work()
        assert state_of(other) == "completed"
        assert failures() == 0
    for _ in range(3):
        work(wait=False)
    assert states(campaign) == {"sent": 3, "rejected": 3}


def test_who_was_put_off_for_our_sake_is_tried_in_earnest_once_others_are_taken(smtp: SmtpServer, work: Work) -> None:
    """Three domains in a row, and nobody taken before: that may be about us, until the others are."""
    campaign = mixed("x.example", "y.example", "z.example", "a.example", "b.example")
    refuse(smtp, campaign, "x.example", "y.example", "z.example")
    work()
    assert states(campaign) == {"deferred": 3, "pending": 2}
    assert set(Recipient.objects.values_list("attempts", flat=True)) == {0}
    wake_chunks(pk=campaign.pk)
    work()
    assert states(campaign) == {"deferred": 3, "sent": 2}
    work(wait=False)
    assert set(Recipient.objects.filter(state="deferred").values_list("attempts", flat=True)) == {1}
    assert failures() == 0


def test_a_relay_that_turns_us_away_half_way_rejects_nobody(smtp: SmtpServer, work: Work, settings: object) -> None:
    settings.CAMPAIGNS_GROUP_SIZE = 4  # type: ignore[attr-defined]
    campaign = mixed(*["a.example", "b.example", "c.example", "d.example"] * 10)
    smtp.script(rcpt=["250 ok"] * 10 + ["550 5.7.1 relaying denied"] * 500)
    for _ in range(12):
        work(wait=False)
    found = states(campaign)
    assert found["sent"] == 10
    assert set(found) <= {"sent", "pending", "deferred"}
    assert set(Recipient.objects.exclude(state="sent").values_list("attempts", flat=True)) == {0}
    assert failures() >= 3
    smtp.script()
    MailBreaker.objects.update(open_until=None)
    for _ in range(4):
        work(wait=False)
    assert states(campaign) == {"sent": 40}


def test_those_who_were_put_off_before_speak_up_when_the_relay_turns_us_away(smtp: SmtpServer, work: Work) -> None:
    """Greylisted at first, refused for our sake then: that is another answer, and no try of theirs."""
    campaign = mixed(*["a.example", "b.example", "c.example"] * 2, "d.example")
    refuse(smtp, campaign, "a.example", "b.example", "c.example", reply="451 4.7.1 greylisted")
    work()
    smtp.towards = {}
    smtp.script(rcpt=["550 5.7.1 relaying denied"] * 100)
    for _ in range(3):
        work(wait=False)
    assert failures() >= 1
    assert set(Recipient.objects.exclude(state="sent").values_list("attempts", flat=True)) == {1}


def test_what_was_taken_is_written_down_although_the_database_was_away_for_a_moment(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(key: str, taken: object) -> None:
        raise OperationalError("gone")

    campaign = mixed("a.example", "b.example", "x.example")
    refuse(smtp, campaign, "x.example")
    monkeypatch.setattr("campaigns.breaker.standing", away)
    work()
    assert states(campaign) == {"sent": 2, "deferred": 1}


def test_a_server_that_refuses_us_for_days_is_not_tried_for_ever(smtp: SmtpServer, work: Work) -> None:
    campaign = mixed("a.example", "b.example", "c.example")
    Campaign.objects.update(launched_at=timezone.now() - timedelta(days=4))
    smtp.script(rcpt=[POLICY] * 100)
    work()
    assert states(campaign) == {"deferred": 3}
    assert failures() == 1
    assert set(Recipient.objects.values_list("attempts", flat=True)) == {1}
