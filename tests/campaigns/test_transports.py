"""Transports as rows: secrets, failover, the breaker, any Django backend; row by row what became of the mail."""

import json
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from anymail.exceptions import AnymailAPIError, AnymailConfigurationError, AnymailRequestsAPIError
from django.core import mail
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns import breaker, lifecycle, mailer, services, vault
from campaigns.checks import check_addresses
from campaigns.errors import TransportRefused
from campaigns.mailer.backend import Backend, arguments, judge
from campaigns.models import Campaign, MailBreaker, MailTransport, Recipient
from campaigns.services.chunk import wake_chunks
from campaigns.services.conduct import conduct
from campaigns.services.deliver import Delivery
from queue_core.errors import Snooze
from queue_core.models import Task
from tests.campaigns.smtp_server import DROP, HANG, SmtpServer
from tests.factories import CampaignFactory, UserFactory, add_recipients

pytestmark = pytest.mark.django_db(transaction=True)
Work = Callable[..., None]
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
DJANGO_SMTP = "django.core.mail.backends.smtp.EmailBackend"
FILEBASED = "django.core.mail.backends.filebased.EmailBackend"


@pytest.fixture
def second() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server
        mailer.close()


def row(server: SmtpServer, name: str = "first", **values: Any) -> MailTransport:
    given = {"host": "127.0.0.1", "port": server.port, "connections": 1, "timeout": 2.0, **values}
    return services.save_transport(name=name, **given)


def launched(count: int, **values: Any) -> Campaign:
    campaign = CampaignFactory.create(**values)
    add_recipients(campaign, count)
    return services.launch(campaign)


def ledger(campaign: Campaign) -> list[tuple[str, int | None]]:
    return list(Recipient.objects.filter(campaign=campaign).order_by("pk").values_list("state", "code"))


def trouble_of(campaign: Campaign) -> str:
    with pytest.raises(Snooze):
        conduct(campaign.pk)
    campaign.refresh_from_db()
    return campaign.trouble


# --- rows and their secrets


def test_a_secret_is_stored_encrypted_and_shown_nowhere(smtp: SmtpServer, client: Client) -> None:
    made = row(smtp, username="jo", secret="hunter2")
    assert "hunter2" not in made.secret
    assert mailer.route_of(made).transport.password == "hunter2"  # type: ignore[union-attr]
    assert "hunter2" not in repr(mailer.route_of(made))
    client.force_login(UserFactory(is_superuser=True))
    for page in ("", f"{made.pk}/change/"):
        answer = client.get(f"/admin/campaigns/mailtransport/{page}").content.decode()
        assert "first" in answer
        assert "hunter2" not in answer
        assert made.secret not in answer


def test_old_keys_still_read_and_the_first_one_writes(settings: Any) -> None:
    settings.VAULT_KEYS = ["old"]
    locked = vault.lock("s")
    settings.VAULT_KEYS = ["new", "old"]
    assert vault.unlock(locked) == "s"
    renewed = vault.lock("s")
    settings.VAULT_KEYS = ["new"]
    assert vault.unlock(renewed) == "s"
    with pytest.raises(vault.VaultError, match="enter it again"):
        vault.unlock(locked)


def test_a_secret_may_come_from_the_environment(smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    made = row(smtp, username="jo", secret_env="MAIL_PASSWORD")
    assert "MAIL_PASSWORD" in mailer.route_of(made).problem
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    assert mailer.route_of(made).transport.password == "hunter2"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "first"}, "name"),
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"port": 0}, "port"),
        ({"connections": 51}, "connections"),
        ({"timeout": float("nan")}, "timeout"),
        ({"max_messages": -1}, "max_messages"),
        ({"username": "jo"}, "secret"),
        ({"secret": "s"}, "username"),
        ({"secret_env": "SECRET_KEY", "username": "jo"}, "secret_env"),
        ({"secret_env": "MAIL_A", "secret": "s", "username": "jo"}, "secret_env"),
        ({"kind": "django", "backend": ""}, "backend"),
        ({"kind": "django", "backend": "os.path.join"}, "backend"),
        ({"kind": "django", "backend": "no.such.Backend"}, "backend"),
        ({"kind": "django", "backend": ".."}, "backend"),
        ({"kind": "django", "backend": ".smtp.EmailBackend"}, "backend"),
        ({"kind": "django", "backend": "a.\x00"}, "backend"),
        ({"kind": "django", "backend": "tests.campaigns.no_module.Backend"}, "backend"),
        ({"kind": "django", "backend": LOCMEM, "options": {"password": "hunter2"}}, "options"),
        ({"kind": "django", "backend": LOCMEM, "options": {"api_key": "hunter2"}}, "options"),
        ({"kind": "django", "backend": LOCMEM, "options": {"p": {"aws_secret_access_key": "hunter2"}}}, "options"),
        ({"kind": "django", "backend": LOCMEM, "options": {"a": "$secret", "secret_key": "hunter2"}}, "options"),
        ({"kind": "django", "backend": LOCMEM, "options": [1]}, "options"),
        ({"kind": "django", "backend": FILEBASED, "options": {"file_path": "/etc/cron.d"}}, "options"),
        ({"kind": "django", "backend": FILEBASED}, "backend"),
    ],
)
def test_a_transport_that_cannot_work_is_refused_by_field(smtp: SmtpServer, values: dict[str, Any], field: str) -> None:
    row(smtp)
    with pytest.raises(TransportRefused) as refused:
        services.save_transport(**{"name": "second", "host": "mail.example.com", **values})
    assert list(refused.value.errors) == [field]
    assert MailTransport.objects.count() == 1


@pytest.mark.parametrize("values", [{"host": "evil.example"}, {"port": 2525}, {"verify": False}])
def test_a_stored_secret_is_not_sent_to_another_server(smtp: SmtpServer, values: dict[str, Any]) -> None:
    made = row(smtp, username="jo", secret="hunter2")
    with pytest.raises(TransportRefused, match="Enter the secret again"):
        services.save_transport(made, **values)
    assert services.save_transport(made, priority=1).priority == 1
    assert services.save_transport(made, secret="other", **values).pk == made.pk


def test_a_transport_that_a_campaign_names_is_not_deleted(smtp: SmtpServer) -> None:
    made = row(smtp)
    CampaignFactory(transport=made)
    with pytest.raises(TransportRefused, match="switch it off"):
        services.delete_transport(made)
    Campaign.objects.all().delete()
    services.delete_transport(made)
    assert not MailTransport.objects.exists()


def test_the_admin_says_what_to_do_with_a_transport_that_cannot_be_deleted(smtp: SmtpServer, client: Client) -> None:
    made = row(smtp)
    client.force_login(UserFactory(is_superuser=True))
    url = reverse("admin:campaigns_mailtransport_delete", args=[made.pk])
    assert "Delete “first” with its secret?" in client.get(url).content.decode()
    campaign = CampaignFactory(transport=made)
    for ask in (client.get, client.post):
        assert "Campaigns name “first”: switch it off instead" in ask(url, follow=True).content.decode()
    campaign.delete()
    add_recipients(planned := CampaignFactory.create(), 1)
    services.launch(planned)
    assert "have no other transport: switch it off" in client.post(url, follow=True).content.decode()
    planned.delete()
    assert "Deleted “first”." in client.post(url, follow=True).content.decode()
    assert not MailTransport.objects.exists()


def test_a_check_says_what_the_server_offers_or_the_exact_error(smtp: SmtpServer) -> None:
    made = row(smtp)
    ok, lines = services.check_transport(made)
    assert (ok, "PIPELINING" in lines) == (True, True)
    smtp.script(greeting=["554 5.7.1 not you"])
    assert services.check_transport(made) == (False, ["GREETING: 554 5.7.1 not you"])
    assert smtp.bodies == []
    path = "anymail.backends.mailgun.EmailBackend"
    bad = services.save_transport(name="b", kind="django", backend=path)
    ok, lines = services.check_transport(bad)
    assert not ok
    assert "AnymailConfigurationError" in lines[0]


def test_the_secret_has_its_place_at_any_level_beside_the_name_that_goes_with_it() -> None:
    options: dict[str, Any] = {"api_key": "public", "session": {"aws_secret_access_key": "$secret"}, "keyword": "x"}
    made = services.save_transport(name="b", kind="django", backend=LOCMEM, options=options, secret="hunter2")
    transport = mailer.route_of(made).transport
    assert isinstance(transport, mailer.Backend)
    assert json.loads(transport.options) == {**options, "session": {"aws_secret_access_key": "hunter2"}}


def test_a_transport_from_before_that_keeps_a_key_in_its_options_can_be_switched_off() -> None:
    made = services.save_transport(name="b", kind="django", backend=LOCMEM)
    MailTransport.objects.update(options={"api_key": "hunter2"})
    made.refresh_from_db()
    assert not services.save_transport(made, enabled=False).enabled
    with pytest.raises(TransportRefused, match="api_key"):
        services.save_transport(made, options={"api_key": "hunter3"})


# --- which way mail takes


def test_a_campaign_goes_out_by_priority_or_by_the_transport_it_names(
    smtp: SmtpServer, second: SmtpServer, work: Work
) -> None:
    row(smtp, "first", priority=1)
    other = row(second, "second", priority=2)
    launched(3)
    work()
    assert (len(smtp.bodies), len(second.bodies)) == (3, 0)
    launched(3, transport=other)
    work()
    assert (len(smtp.bodies), len(second.bodies)) == (3, 3)


def test_a_transport_that_is_switched_off_is_not_used(smtp: SmtpServer, second: SmtpServer, work: Work) -> None:
    made = row(smtp, "first", priority=1, enabled=False)
    row(second, "second", priority=2)
    launched(2)
    work()
    assert (smtp.connections, len(second.bodies)) == (0, 2)
    MailTransport.objects.filter(pk=made.pk).update(enabled=True)
    campaign = launched(2, transport=made)
    MailTransport.objects.filter(pk=made.pk).update(enabled=False)
    work()
    assert ledger(campaign) == [("pending", None)] * 2
    assert "No transport is enabled" in trouble_of(campaign)


@pytest.mark.parametrize("replies", [{"greeting": [DROP] * 9}, {"greeting": ["554 no"] * 9}, {"mail": ["550 no"] * 9}])
def test_the_next_transport_takes_over_from_one_that_refuses_us(
    smtp: SmtpServer, second: SmtpServer, work: Work, replies: dict[str, list[str | bytes]]
) -> None:
    row(smtp, "first", priority=1)
    row(second, "second", priority=2)
    smtp.script(**replies)
    campaign = launched(5)
    work()
    assert ledger(campaign) == [("sent", 250)] * 5
    assert (len(smtp.bodies), len(second.bodies)) == (0, 5)
    assert list(MailBreaker.objects.order_by("key").values_list("failures", flat=True)) == [1, 0]


def test_mail_whose_fate_is_unknown_is_not_sent_again_by_another_transport(
    smtp: SmtpServer, second: SmtpServer, work: Work
) -> None:
    row(smtp, "first", priority=1)
    row(second, "second", priority=2)
    smtp.script(dot=["250 ok", DROP], greeting=["220 hello"] + ["554 no more"] * 9)
    campaign = launched(4)
    work()
    assert [state for state, _ in ledger(campaign)] == ["sent", "unconfirmed", "sent", "sent"]
    assert (len(smtp.bodies), len(second.bodies)) == (2, 2)


def test_a_django_backend_is_a_transport(work: Work, settings: Any) -> None:
    mail.outbox = []
    services.save_transport(name="memory", kind="django", backend=LOCMEM, connections=2)
    campaign = launched(3, from_email="Tëam <team@example.com>", reply_to="help@example.com")
    work()
    assert ledger(campaign) == [("sent", 250)] * 3
    sent = {message.to[0]: message for message in mail.outbox}
    message = sent["Reader 0 <r0@example.com>"]
    assert (message.subject, message.reply_to) == ("Hi Reader 0", ["help@example.com"])
    assert "Hello Reader 0" in message.body
    assert "Hello Reader 0" in message.alternatives[0][0]
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.extra_headers["Message-ID"].startswith(f"<{campaign.pk}.")


def through_django(port: int, **values: Any) -> MailTransport:
    options = {"host": "127.0.0.1", "port": port}
    return services.save_transport(name="d", kind="django", backend=DJANGO_SMTP, options=options, **values)


def test_mail_through_djangos_own_backend_comes_back_to_the_bounce_address(
    smtp: SmtpServer, work: Work, settings: Any
) -> None:
    settings.BOUNCE_ADDRESS = "bounces@example.org"
    through_django(smtp.port, connections=1)
    campaign = launched(1, from_email="Tëam <team@example.com>")
    work()
    (sender,) = [said for said in smtp.commands if said.startswith("mail from")]
    assert sender.startswith(f"mail from:<bounces+{campaign.pk}.")
    assert b"From: =?utf-8?" in smtp.bodies[0]
    assert b"<team@example.com>" in smtp.bodies[0]


def test_a_django_backend_waits_no_longer_than_the_transport_says(work: Work) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        through_django(silent.getsockname()[1], timeout=1.0)
        campaign = launched(3)
        work()
    assert ledger(campaign) == [("pending", None)] * 3
    assert MailBreaker.objects.get().failures == 1


class _HandsOn(SmtpBackend):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class _TakesNone(SmtpBackend):
    def __init__(self, host: str = "") -> None:
        super().__init__(host=host)


@pytest.mark.parametrize(
    ("path", "options", "timeout"),
    [
        (DJANGO_SMTP, "{}", 5.0),
        (DJANGO_SMTP, '{"timeout": 7}', 7),
        ("anymail.backends.postmark.EmailBackend", '{"server_token": "x"}', 5.0),
        (f"{__name__}._HandsOn", "{}", 5.0),
        (f"{__name__}._TakesNone", "{}", None),
        (LOCMEM, "{}", None),
    ],
)
def test_the_timeout_goes_to_backends_that_take_one(path: str, options: str, timeout: float | None) -> None:
    assert arguments(Backend(path, options, timeout=5.0)).get("timeout") == timeout


def test_mails_may_go_to_files_where_the_setting_says(work: Work, settings: Any, tmp_path: Path) -> None:
    settings.EMAIL_FILE_PATH = str(tmp_path)
    services.save_transport(name="files", kind="django", backend=FILEBASED, connections=1)
    campaign = launched(2)
    work()
    assert ledger(campaign) == [("sent", 250)] * 2
    assert b"Hello Reader 0" in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_we_introduce_ourselves_by_the_name_of_the_setting(smtp: SmtpServer, settings: Any) -> None:
    made = row(smtp)
    assert services.check_transport(made)[0]
    settings.SMTP_EHLO = "app.example.com"
    assert services.check_transport(made)[0]
    assert [said for said in smtp.commands if said.startswith("ehlo")] == ["ehlo [127.0.0.1]", "ehlo app.example.com"]


@pytest.mark.parametrize("name", ["two words", "a.example\r\nMAIL FROM:<>", "-", "ä.example"])
def test_a_name_that_no_server_takes_is_told_at_the_start(settings: Any, name: str) -> None:
    settings.SMTP_EHLO = name
    assert [found.id for found in check_addresses(None)] == ["campaigns.E007"]


def test_a_backend_that_cannot_be_opened_refuses_us(work: Work) -> None:
    path = "django.core.mail.backends.smtp.EmailBackend"
    services.save_transport(name="b", kind="django", backend=path, options={"host": "127.0.0.1", "port": 1})
    campaign = launched(2)
    work()
    assert ledger(campaign) == [("pending", None)] * 2
    assert "ConnectionRefusedError" in trouble_of(campaign)


def status_error(code: int) -> AnymailRequestsAPIError:
    response = requests.Response()
    response.status_code, response._content = code, b"said no"
    return AnymailRequestsAPIError("said no", response=response)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (smtplib.SMTPRecipientsRefused({"a@b.c": (550, b"5.1.1 nobody")}), "rejected"),
        (smtplib.SMTPRecipientsRefused({"a@b.c": (451, b"later")}), "deferred"),
        (smtplib.SMTPSenderRefused(550, b"not you", "a@b.c"), "blocked"),
        (smtplib.SMTPDataError(452, b"4.2.2 full"), "deferred"),
        (smtplib.SMTPAuthenticationError(535, b"wrong"), "blocked"),
        (smtplib.SMTPServerDisconnected("gone"), "unconfirmed"),
        (TimeoutError("slow"), "unconfirmed"),
        (ConnectionRefusedError("no"), "blocked"),
        (AnymailConfigurationError("no key"), "blocked"),
        (status_error(401), "blocked"),
        (status_error(429), "blocked"),
        (status_error(422), "rejected"),
        (status_error(500), "unconfirmed"),
        (AnymailAPIError("lost"), "unconfirmed"),
        (ValueError("header"), "rejected"),
    ],
)
def test_what_a_backend_raises_is_laid_at_the_right_door(error: Exception, verdict: str) -> None:
    assert judge(error).verdict == verdict


# --- the breaker


def wait_of(key: str) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM open_until - now()) FROM mail_breakers WHERE key = %s", [key])
        found = cursor.fetchone()
    return None if not found or found[0] is None else round(float(found[0]))


def time_passes() -> None:
    MailBreaker.objects.update(open_until=MailBreaker.objects.get().changed_at)


def test_a_breaker_opens_after_some_refusals_and_waits_longer_each_time() -> None:
    waits = []
    for _ in range(10):
        breaker.trip("x", "no")
        waits.append(wait_of("x"))
        if waits[-1] is not None:
            assert not breaker.admit("x").is_open_to_us
            breaker.trip("x", "a chunk that began before")
            time_passes()
    assert waits == [None, None, 30, 60, 120, 240, 480, 900, 900, 900]


def test_one_probe_at_a_time_is_let_through_and_success_closes() -> None:
    for _ in range(3):
        breaker.trip("x", "no")
    assert breaker.admit("x").wait == pytest.approx(30, abs=2)
    time_passes()
    first, other = breaker.admit("x"), breaker.admit("x")
    assert (first.is_open_to_us, first.is_probe, other.is_open_to_us) == (True, True, False)
    assert breaker.recover("x")
    assert not breaker.recover("x")
    assert breaker.admit("x") == breaker.Gate(True)


def test_a_server_that_refuses_us_is_left_alone_without_a_row_per_try_and_used_again_by_itself(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str]
) -> None:
    smtp.script(greeting=["554 5.7.1 go away"] * 3)
    campaign = launched(3)
    for _ in range(6):
        work(wait=False)
    assert smtp.connections == 3
    task = Task.objects.get(name="campaigns.deliver_chunk")
    assert (task.state, task.executions.count()) == ("queued", 0)
    said = trouble_of(campaign)
    assert "does not take our mail (3 times in a row): 5.7.1 go away Next try at" in said
    time_passes()
    for _ in range(3):
        work(wait=False)
    assert ledger(campaign) == [("sent", 250)] * 3
    assert state_of(campaign) == "completed"
    assert campaign.trouble == ""
    assert not MailBreaker.objects.filter(failures__gt=0).exists()


def test_a_person_may_reset_a_breaker(smtp: SmtpServer, work: Work) -> None:
    made = row(smtp)
    smtp.script(greeting=["554 no"] * 3)
    campaign = launched(2)
    for _ in range(4):
        work(wait=False)
    assert smtp.connections == 3
    assert services.reset_transport(made)
    assert not services.reset_transport(made)
    work(wait=False)
    assert ledger(campaign) == [("sent", 250)] * 2


def test_chunks_of_a_cancelled_campaign_do_not_wait_for_the_server(smtp: SmtpServer, work: Work) -> None:
    smtp.script(greeting=["554 no"] * 3)
    campaign = launched(2)
    work()
    services.cancel(campaign)
    work(wait=False)
    assert not Task.objects.filter(name="campaigns.deliver_chunk", state="queued").exists()


@pytest.mark.parametrize("change", [{"enabled": False}, {"max_messages": 7}])
def test_a_transport_that_is_changed_sends_nothing_more_as_it_was(
    smtp: SmtpServer, second: SmtpServer, work: Work, settings: object, change: dict[str, Any]
) -> None:
    settings.CAMPAIGNS_PAUSE_CHECK_SECONDS = 0.1  # type: ignore[attr-defined]
    smtp.delay = 0.1
    made, _ = row(smtp, "first", priority=1), row(second, "second", priority=2)
    campaign = launched(40)

    def press() -> None:
        services.save_transport(made, **({"port": second.port} if "max_messages" in change else {}), **change)
        connection.close()

    timer = threading.Timer(0.6, press)
    timer.start()
    work()
    timer.join()
    assert ledger(campaign) == [("sent", 250)] * 40
    assert 2 <= len(smtp.bodies) <= 30
    assert len(smtp.bodies) + len(second.bodies) == 40


def opened(key: str) -> None:
    """A breaker whose time is over."""
    for _ in range(3):
        breaker.trip(key, "no")
    MailBreaker.objects.filter(key=key).update(open_until=timezone.now() - timedelta(seconds=1))


def test_a_probe_that_sends_nothing_lets_the_next_one_try(smtp: SmtpServer, work: Work) -> None:
    made = row(smtp)
    slow = launched(2, rate_per_minute=1)
    work()
    assert len(smtp.bodies) == 1
    opened(made.breaker_key)
    wake_chunks(pk=slow.pk)
    work()
    assert breaker.admit(made.breaker_key).is_probe


@pytest.mark.parametrize("reply", ["450 4.2.0 later", "550 5.1.1 no such user"])
def test_a_server_that_speaks_of_a_recipient_talks_to_us_again(smtp: SmtpServer, work: Work, reply: str) -> None:
    made = row(smtp)
    opened(made.breaker_key)
    smtp.script(rcpt=[reply] * 2)
    campaign = launched(2)
    work()
    assert "pending" not in dict(ledger(campaign))
    assert breaker.admit(made.breaker_key) == breaker.Gate(True)


def test_a_probe_makes_way_for_all_connections_once_it_has_found_out(
    smtp: SmtpServer, work: Work, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CAMPAIGNS_GROUP_SIZE = 2  # type: ignore[attr-defined]
    made = row(smtp, connections=4)
    opened(made.breaker_key)
    smtp.delay = 0.02
    campaign = launched(60)
    sizes, run = [], Delivery.run

    def noted(delivery: Delivery) -> None:
        run(delivery)
        sizes.append((delivery.crew.size, lifecycle.counts(campaign.pk)["sent"]))

    monkeypatch.setattr(Delivery, "run", noted)
    work()
    (probe, sent), (crew, all_) = sizes
    assert (probe, crew, all_) == (1, 4, 60)
    assert sent <= 4


def test_one_way_that_works_is_no_trouble_even_if_it_refused_us_once(smtp: SmtpServer, second: SmtpServer) -> None:
    first, other = row(smtp, "first", priority=1), row(second, "second", priority=2)
    campaign = launched(2)
    opened(first.breaker_key)
    breaker.took(other.breaker_key, ["example.com"])
    breaker.trip(other.breaker_key, "5.7.1 not this one")
    assert trouble_of(campaign) == ""
    opened(other.breaker_key)
    assert "does not take our mail (3 times in a row)" in trouble_of(campaign)


# --- a server that misbehaves, row by row

OK, SENT = "250 ok", ("sent", 250)
STORIES: list[tuple[str, dict[str, Any], tuple[str, int | None], tuple[str, ...] | None]] = [
    ("greylisting", {"rcpt": [OK, "451 4.7.1 greylisted"]}, ("deferred", 451), None),
    ("no such user", {"rcpt": [OK, "550 5.1.1 nobody"]}, ("rejected", 550), None),
    ("policy", {"rcpt": [OK, "550 5.7.26 not authenticated"]}, ("deferred", 550), None),
    ("policy at the end", {"dot": [OK, "550 5.7.26 not authenticated"]}, ("deferred", 550), None),
    ("mailbox full", {"rcpt": [OK, "552 5.2.2 full"]}, ("rejected", 552), None),
    ("too big", {"dot": [OK, "552 5.3.4 too big"]}, ("rejected", 552), None),
    ("421 in mid-session", {"rcpt": [OK, "421 4.3.2 closing"]}, SENT, None),
    ("421 after the body", {"dot": [OK, "421 4.3.2 closing"]}, ("deferred", 421), None),
    ("dropped before the dot", {"data": ["354 go", DROP]}, SENT, None),
    ("dropped after the dot", {"dot": [OK, DROP]}, ("unconfirmed", None), None),
    ("hangs after the dot", {"dot": [OK, HANG]}, ("unconfirmed", None), None),
    ("no PIPELINING", {"rcpt": [OK, "451 4.7.1 later"]}, ("deferred", 451), ("8BITMIME",)),
    ("offers nothing", {}, SENT, ()),
]


@pytest.mark.parametrize(
    ("replies", "second_row", "offers"), [story[1:] for story in STORIES], ids=[s[0] for s in STORIES]
)
def test_each_misbehaviour_ends_in_the_right_state_of_that_recipient_alone(
    smtp: SmtpServer,
    work: Work,
    replies: dict[str, Any],
    second_row: tuple[str, int | None],
    offers: tuple[str, ...] | None,
) -> None:
    if offers is not None:
        smtp.extensions = offers
    row(smtp)
    smtp.script(**replies)
    campaign = launched(5)
    work()
    assert ledger(campaign) == [SENT, second_row, SENT, SENT, SENT]
    assert lifecycle.counts(campaign.pk)["sent"] == [state for state, _ in ledger(campaign)].count("sent")


def test_a_server_that_wants_starttls_and_does_not_get_it_refuses_us(smtp: SmtpServer, work: Work) -> None:
    row(smtp)
    smtp.script(mail=["530 5.7.0 Must issue a STARTTLS command first"] * 9)
    campaign = launched(3)
    work()
    assert ledger(campaign) == [("pending", None)] * 3
    assert "STARTTLS" in trouble_of(campaign)


# --- the doors


@pytest.fixture
def api() -> Any:
    from rest_framework.test import APIClient

    client = APIClient()
    client.force_authenticate(UserFactory(is_superuser=True))
    return client


def test_the_api_adds_changes_checks_resets_and_removes(api: Any, smtp: SmtpServer) -> None:
    body = {"name": "a", "host": "127.0.0.1", "port": smtp.port, "username": "jo", "secret": " s "}
    made = api.post("/api/v1/transports/", body)
    assert made.status_code == 201
    assert "secret" not in made.data
    assert made.data["has_secret"] is True
    url = f"/api/v1/transports/{made.data['id']}/"
    stored = MailTransport.objects.get()
    assert vault.unlock(stored.secret) == " s "
    assert api.patch(url, {"priority": 3}).data["priority"] == 3
    assert api.patch(url, {"port": 70000, "secret": "s"}).json()["errors"] == {
        "port": ["Write a number from 1 to 65535."]
    }
    assert api.patch(url, {"colour": "red"}).status_code == 400
    closed = {"state": "closed", "failures": 0, "reason": "", "open_until": None}
    assert api.get(url).data["breaker"] == closed
    for _ in range(3):
        breaker.trip(stored.breaker_key, "no")
    for shown in (api.get(url).data, api.get("/api/v1/transports/").data["results"][0]):
        found = shown["breaker"]
        assert (found["state"], found["failures"], found["reason"]) == ("open", 3, "no")
        assert found["open_until"].endswith("Z")
    answer = api.post(f"{url}check/", {}).json()
    assert answer["ok"] is False
    assert "AUTH" in answer["lines"][0]
    assert api.post(f"{url}reset/", {}).data["breaker"] == closed
    assert api.delete(url).status_code == 204


def test_the_admin_adds_changes_and_checks(client: Client, smtp: SmtpServer) -> None:
    client.force_login(UserFactory(is_superuser=True))
    base = "/admin/campaigns/mailtransport/"
    body = {
        **{"name": "relay", "kind": "smtp", "enabled": "on", "priority": "1", "host": "127.0.0.1", "port": smtp.port},
        **{"security": "none", "verify": "on", "username": "", "new_secret": "", "secret_env": "", "backend": ""},
        **{"options": "{}", "connections": "4", "pipelining": "on", "max_messages": "100", "timeout": "5"},
    }
    wrong = client.post(f"{base}add/", {**body, "host": "a b", "options": "no"})
    # All of it at once: what the form finds, and what the verb would refuse.
    assert set(wrong.context["adminform"].form.errors) == {"host", "options"}
    assert not MailTransport.objects.exists()
    assert client.post(f"{base}add/", body).status_code == 302
    made = MailTransport.objects.get()
    assert client.post(f"{base}{made.pk}/change/", {**body, "priority": "7"}).status_code == 302
    made.refresh_from_db()
    assert made.priority == 7
    page = client.post(f"{base}{made.pk}/check/", follow=True).content.decode()
    assert "answers and lets us in" in page
    assert "PIPELINING" in page
    breaker.trip(made.breaker_key, "no <b>")
    assert "no &lt;b&gt;" in client.get(f"{base}{made.pk}/change/").content.decode()
    assert "refuses us" in client.get(base).content.decode()
    MailBreaker.objects.update(open_until=timezone.now() + timedelta(minutes=5))
    assert "refuses us" in client.get(base).content.decode()
    assert client.get(f"{base}{made.pk}/change/").context["label"]["text"] == "refuses us"
    assert client.post(f"{base}{made.pk}/reset/").status_code == 302
    assert not breaker.troubles([made.breaker_key])
    assert client.post(f"{base}{made.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not MailTransport.objects.exists()


def test_the_admin_keeps_those_out_who_may_only_look(client: Client, smtp: SmtpServer) -> None:
    made = row(smtp)
    client.force_login(UserFactory(permissions=["view_mailtransport"]))
    base = f"/admin/campaigns/mailtransport/{made.pk}/"
    assert "Check" not in client.get(f"{base}change/").content.decode().split("<main")[-1]
    assert [client.post(f"{base}{verb}/").status_code for verb in ("check", "reset")] == [403, 403]
