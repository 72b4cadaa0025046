"""From a launched campaign to the ledger, against a real SMTP server that behaves as told."""

import email
import email.policy
import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core import signing
from django.db import OperationalError, connection, connections
from django.test import Client

from campaigns import lifecycle, services
from campaigns.errors import NotReady
from campaigns.lifecycle import Leased, Settled, Wish
from campaigns.models import Campaign, CampaignTask, Recipient, Suppression
from campaigns.services.conduct import conduct
from campaigns.services.deliver import deliver_chunk
from campaigns.smtp.wire import Wire
from campaigns.states import RecipientState
from queue_core import broker, conf, drain
from queue_core import services as queue
from queue_core.errors import Discard, Snooze, TaskCancelled
from queue_core.models import Task
from queue_core.ticker import tick
from tests.campaigns.smtp_server import DROP, SmtpServer
from tests.factories import CampaignFactory, TemplateFactory, add_recipients, counts_by_scan

pytestmark = pytest.mark.django_db(transaction=True)
Work = Callable[..., None]


def launched(count: int, **options: object) -> Campaign:
    campaign = CampaignFactory.create(**options)
    add_recipients(campaign, count)
    return services.launch(campaign)


def states(campaign: Campaign) -> dict[str, int]:
    """Recipients per state; checks on the way that the running counts tell the truth."""
    scanned = counts_by_scan(campaign)
    assert lifecycle.counts(campaign.pk) == scanned
    return {state: n for state, n in scanned.items() if n}


def test_a_campaign_is_mailed_once_to_everybody_and_completes(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str]
) -> None:
    campaign = launched(120)
    work()
    assert state_of(campaign) == "completed"
    assert states(campaign) == {"sent": 120}
    assert sorted(smtp.recipients) == sorted(f"r{n}@example.com" for n in range(120))
    work(wait=False)
    assert len(smtp.bodies) == 120


def test_a_mail_is_personal_and_has_what_providers_ask_for(smtp: SmtpServer, work: Work) -> None:
    campaign = launched(1, from_email="Tëam <team@example.com>", reply_to="help@example.com")
    work()
    message = email.message_from_bytes(smtp.bodies[0], policy=email.policy.default)
    assert message["To"] == "Reader 0 <r0@example.com>"
    assert message["From"] == "Tëam <team@example.com>"
    assert message["Subject"] == "Hi Reader 0"
    assert message["Reply-To"] == "help@example.com"
    row = Recipient.objects.get()
    assert re.fullmatch(rf"<{campaign.pk}\.{row.pk}\.[0-9a-f]{{16}}@example\.com>", message["Message-ID"])
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = message["List-Unsubscribe"].strip("<>")
    assert link.startswith("http://testserver/unsubscribe/")
    assert "example.com" not in link.removeprefix("http://testserver")
    html, text = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert "Hello Reader 0" in html.get_content()
    assert link.replace("&", "&amp;") in html.get_content()
    assert "Hello Reader 0" in text.get_content()


@pytest.mark.parametrize(
    ("replies", "state", "code"),
    [
        ({"rcpt": ["550 5.1.1 no such user"]}, "rejected", 550),
        ({"dot": ["552 5.2.2 mailbox full"]}, "rejected", 552),
        ({"rcpt": ["451 4.7.1 greylisted"]}, "deferred", 451),
        ({"dot": ["452 4.2.2 over quota"]}, "deferred", 452),
        ({"dot": [DROP]}, "unconfirmed", None),
    ],
)
def test_an_answer_about_a_recipient_is_on_record_for_that_recipient_alone(
    smtp: SmtpServer, work: Work, replies: dict[str, list[str | bytes]], state: str, code: int | None
) -> None:
    smtp.script(**replies)
    campaign = launched(5)
    work()
    if state == "unconfirmed":  # the connection is gone: the others follow in a later chunk
        work(wait=False)
        work(wait=False)
    assert states(campaign) == {"sent": 4, state: 1}
    row = Recipient.objects.get(state=state)
    assert row.email == "r0@example.com"
    assert row.attempts == 1
    if code:
        assert row.code == code
        assert row.detail


def test_a_deferred_recipient_is_tried_again_with_growing_waits_and_then_given_up(
    smtp: SmtpServer, work: Work, settings: object, state_of: Callable[[Campaign], str]
) -> None:
    settings.CAMPAIGNS_DEFER_SECONDS = [60, 300]  # type: ignore[attr-defined]
    smtp.script(rcpt=["451 4.7.1 later"] * 3)
    campaign = launched(1)
    waits = []
    work()
    while state_of(campaign) == "sending":
        row = Recipient.objects.get()
        if row.state == "deferred":
            with connection.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM retry_at - now()) FROM email_recipients")
                waits.append(round(float(cursor.fetchone()[0]), -1))
        work(wait=False)
    assert waits == [60, 300]
    assert states(campaign) == {"rejected": 1}
    assert "gave up after 3 attempts" in Recipient.objects.get().detail


def test_a_deferred_recipient_is_mailed_when_the_server_agrees(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str]
) -> None:
    smtp.script(rcpt=["451 4.7.1 greylisted"])
    campaign = launched(1)
    work()
    for _ in range(4):
        work(wait=False)
    assert state_of(campaign) == "completed"
    row = Recipient.objects.get()
    assert (row.state, row.attempts, row.retry_at) == ("sent", 2, None)


@pytest.mark.parametrize(
    "replies",
    [
        {"greeting": ["554 go away"] * 3},
        {"mail": ["550 5.7.26 not authenticated"] * 3},
        {"rcpt": ["550 5.7.1 policy"] * 3},
        {"greeting": [DROP] * 6},
        {"data": [DROP] * 6},
    ],
)
def test_a_refusal_of_us_rejects_nobody_and_is_said(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str], replies: dict[str, list[str | bytes]]
) -> None:
    smtp.script(**replies)
    campaign = launched(3)
    work()
    assert states(campaign) == {"deferred" if replies.keys() & {"rcpt", "data"} else "pending": 3}
    # Who is hung up on may be the reason for it: that is a try.
    assert set(Recipient.objects.values_list("attempts", flat=True)) == {1 if "data" in replies else 0}
    task = Task.objects.get(name="campaigns.deliver_chunk")
    assert task.state == "queued"
    assert not task.executions.exists()
    Task.objects.filter(name="campaigns.conduct").update(parked=False)
    work()
    campaign.refresh_from_db()
    assert "mail server does not take our mail" in campaign.trouble
    smtp.script()
    for _ in range(3):
        work(wait=False)
    assert states(campaign) == {"sent": 3}
    assert state_of(campaign) == "completed"
    assert campaign.trouble == ""


def test_a_row_that_cannot_be_rendered_fails_alone(smtp: SmtpServer, work: Work) -> None:
    template = TemplateFactory.create(html="<p>{{ 10 / (recipient.share|int) }}</p>")
    campaign = CampaignFactory.create(template=template)
    add_recipients(campaign, 3, share="2")
    broken = Recipient.objects.order_by("pk")[1]
    Recipient.objects.filter(pk=broken.pk).update(attributes={"share": "0"})
    services.launch(campaign)
    work()
    assert states(campaign) == {"sent": 2, "rejected": 1}
    broken.refresh_from_db()
    assert "could not be made" in broken.detail


def test_an_attribute_cannot_write_headers(smtp: SmtpServer, work: Work) -> None:
    template = TemplateFactory.create(subject="Hi {{ recipient.nick }}")
    campaign = CampaignFactory.create(template=template)
    add_recipients(campaign, 1, nick="x\r\nBcc: evil@example.com")
    services.launch(campaign)
    work()
    message = email.message_from_bytes(smtp.bodies[0], policy=email.policy.default)
    assert message["Bcc"] is None
    assert message["Subject"] == "Hi x Bcc: evil@example.com"


def test_who_unsubscribes_after_the_launch_is_not_mailed(smtp: SmtpServer, work: Work, client: Client) -> None:
    campaign = launched(3)
    row = Recipient.objects.order_by("pk")[1]
    link = services.unsubscribe_url(row.pk).removeprefix("http://testserver")
    assert client.get(link).status_code == 200
    assert not Suppression.objects.exists()
    assert client.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert client.post(link).status_code == 200
    suppression = Suppression.objects.get()
    assert (suppression.key, suppression.reason, suppression.campaign_id) == (row.key, "unsubscribed", campaign.pk)
    work()
    assert states(campaign) == {"sent": 2, "suppressed": 1}
    assert row.email not in smtp.recipients


def test_who_unsubscribes_in_mid_campaign_is_not_mailed(smtp: SmtpServer, work: Work, settings: Any) -> None:
    settings.CAMPAIGNS_GROUP_SIZE = 1
    campaign = launched(6)
    last = Recipient.objects.order_by("pk").last()
    take_body = smtp._take_body

    def unsubscribe_meanwhile(*arguments: Any) -> None:
        if not smtp.bodies:
            services.unsubscribe(last)
            connections.close_all()  # those of the server's thread
        take_body(*arguments)

    smtp._take_body = unsubscribe_meanwhile
    work()
    assert states(campaign) == {"sent": 5, "suppressed": 1}
    assert last.email not in smtp.recipients
    assert lifecycle.counts(campaign.pk) == counts_by_scan(campaign)


@pytest.mark.parametrize("verb", ["get", "post"])
def test_an_unsubscribe_link_that_is_not_whole_says_so_and_changes_nothing(client: Client, verb: str) -> None:
    row = add_recipients(CampaignFactory.create(), 1)[0]
    good = services.unsubscribe_url(row.pk).removeprefix("http://testserver/unsubscribe/").rstrip("/")
    other_purpose = signing.Signer(salt="other").sign(str(row.pk))
    forged = good.replace(str(row.pk), str(row.pk + 1), 1)
    for token in ("x", good[:-1], good + "x", forged, other_purpose, "9" * 400, "%00", "0:abc", ":", "é:é"):
        for link in (f"/unsubscribe/{token}/", f"/unsubscribe/{token}"):
            response = getattr(client, verb)(link)
            assert response.status_code == 404
            assert "This link is not known" in response.content.decode()
    assert not Suppression.objects.exists()


def test_an_unsubscribe_link_that_lost_its_slash_is_never_redirected(client: Client) -> None:
    row = add_recipients(CampaignFactory.create(), 1)[0]
    link = services.unsubscribe_url(row.pk).removeprefix("http://testserver").rstrip("/")
    assert client.get(link).status_code == 200
    assert client.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert Suppression.objects.get().key == row.key


def test_the_link_of_a_preview_or_a_test_says_that_it_unsubscribes_nobody(client: Client) -> None:
    link = services.unsubscribe_url(0).removeprefix("http://testserver")
    for response in (client.get(link), client.post(link)):
        assert response.status_code == 200
        assert "This is only a sample" in response.content.decode()
        assert "We will not write to this address again" not in response.content.decode()
    assert not Suppression.objects.exists()


def test_the_link_of_a_recipient_who_is_gone_does_not_claim_anything(client: Client) -> None:
    row = add_recipients(CampaignFactory.create(), 1)[0]
    services.remove_recipient(row)
    assert client.post(services.unsubscribe_url(row.pk).removeprefix("http://testserver")).status_code == 404


def test_pause_is_heard_between_messages_and_resume_mails_the_rest_once(
    smtp: SmtpServer, work: Work, state_of: Callable[[Campaign], str], settings: object
) -> None:
    settings.CAMPAIGNS_PAUSE_CHECK_SECONDS = 0.05  # type: ignore[attr-defined]
    smtp.delay = 0.05
    campaign = launched(60)
    threading.Timer(0.7, lambda: (services.pause(Campaign.objects.get(pk=campaign.pk)), connection.close())).start()
    started = time.monotonic()
    work()
    took = time.monotonic() - started
    halfway = states(campaign)
    assert state_of(campaign) == "paused"
    assert halfway["pending"] > 10
    assert halfway["sent"] > 2
    assert took < 2.5
    work(wait=False)
    assert states(campaign) == halfway
    smtp.delay = 0
    services.resume(campaign)
    for _ in range(3):
        work(wait=False)
    assert states(campaign) == {"sent": 60}
    receivers = [email.message_from_bytes(body)["To"] for body in smtp.bodies]
    assert len(receivers) == len(set(receivers)) == 60
    assert state_of(campaign) == "completed"


def test_a_cancelled_campaign_mails_nobody_more(smtp: SmtpServer, work: Work) -> None:
    campaign = launched(5)
    services.cancel(campaign)
    work()
    assert states(campaign) == {"pending": 5}
    assert smtp.bodies == []


def lease_all(campaign: Campaign, token: uuid.UUID) -> list[lifecycle.Leased]:
    task = Task.objects.get(name="campaigns.deliver_chunk")
    Task.objects.filter(pk=task.pk).update(state="running", lease=token)
    rows, _ = lifecycle.settle_and_lease(token, [], Wish(campaign.pk, 0, 2**62, task.pk, 100))
    return rows


def test_what_a_lost_sender_had_in_flight_is_shown_and_never_sent_again(smtp: SmtpServer, work: Work) -> None:
    campaign = launched(4)
    token = uuid.uuid4()
    assert len(lease_all(campaign, token)) == 4
    assert lifecycle.recover(campaign.pk) == 0  # its task still runs
    Task.objects.filter(name="campaigns.deliver_chunk").update(state="queued", lease=None)
    assert lifecycle.recover(campaign.pk) == 4
    work()
    assert states(campaign) == {"unconfirmed": 4}
    assert smtp.bodies == []


def test_a_late_outcome_of_an_unconfirmed_mail_is_still_believed(smtp: SmtpServer) -> None:
    campaign = launched(2)
    token = uuid.uuid4()
    first, second = lease_all(campaign, token)
    Task.objects.filter(name="campaigns.deliver_chunk").update(state="queued", lease=None)
    lifecycle.recover(campaign.pk)
    assert lifecycle.settle(uuid.uuid4(), [Settled(first.id, RecipientState.SENT, 250)]) == 0
    assert lifecycle.settle(token, [Settled(first.id, RecipientState.SENT, 250)]) == 1
    assert lifecycle.settle(token, [Settled(first.id, RecipientState.REJECTED, 550)]) == 0
    assert states(campaign) == {"sent": 1, "unconfirmed": 1}
    assert second.id != first.id


def test_an_attempt_that_lost_its_task_leases_nobody() -> None:
    campaign = launched(2)
    task = Task.objects.get(name="campaigns.deliver_chunk")
    wish = Wish(campaign.pk, 0, 2**62, task.pk, 10)
    assert lifecycle.settle_and_lease(uuid.uuid4(), [], wish) == ([], None)
    Task.objects.filter(pk=task.pk).update(state="running", lease=uuid.uuid4())
    assert lifecycle.settle_and_lease(uuid.uuid4(), [], wish) == ([], None)
    assert states(campaign) == {"pending": 2}


def test_a_chunk_that_takes_long_gives_its_worker_to_others_and_comes_again(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.CAMPAIGNS_GROUP_SIZE, settings.CAMPAIGNS_PAUSE_CHECK_SECONDS = 2, 0.05
    monkeypatch.setattr("campaigns.services.deliver._SLICE_SECONDS", 0.3)
    smtp.delay = 0.05
    campaign, other = launched(20), launched(1)
    work()
    assert states(campaign) == {"sent": 20}
    assert len(smtp.bodies) == len(set(smtp.recipients)) + 1 == 21
    task = Task.objects.filter(name="campaigns.deliver_chunk").order_by("pk")[0]
    assert (task.state, task.error) == ("succeeded", "")
    assert Recipient.objects.get(campaign=other).sent_at < Recipient.objects.filter(campaign=campaign).last().sent_at


def test_a_chunk_hears_that_its_worker_is_to_stop(smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    smtp.delay = 0.2
    campaign = launched(60)
    monkeypatch.setattr(broker, "ring", lambda queue: None)
    tick(if_older_than=0)
    station = drain.Station(conf.queues())
    station.open()
    timer = threading.Timer(1.0, station.stop)
    timer.start()
    began = time.monotonic()
    station.serve(60, burst=True)
    station.close()
    timer.join()
    assert time.monotonic() - began < 6  # all of them take twelve seconds
    assert states(campaign) == {"sent": len(smtp.bodies), "pending": 60 - len(smtp.bodies)}
    task = Task.objects.get(name="campaigns.deliver_chunk")
    assert (task.state, task.error, task.crashes) == ("queued", "", 0)


@pytest.mark.parametrize("policy", ["ask", "mark"])
def test_whoever_is_leased_by_a_statement_whose_answer_is_lost_is_mailed_all_the_same(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    write, seen = lifecycle.settle_and_lease, []

    def unheard(*args: Any) -> Any:
        answer = write(*args)
        seen.append(answer)
        if len(seen) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return answer

    campaign = launched(45, unconfirmed=policy)
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "settle_and_lease", unheard)
        work()
    for _ in range(2):
        work(wait=False)
    assert states(campaign) == {"sent": 45}
    assert len(smtp.bodies) == len(set(smtp.recipients)) == 45
    assert set(Recipient.objects.values_list("attempts", flat=True)) == {1}


def test_a_chunk_is_sent_by_its_own_task_only() -> None:
    campaign = launched(2)
    chunk, other, lease = CampaignTask.objects.get(), queue.submit("queue_core.prune").id, uuid.uuid4()
    Task.objects.filter(pk=other).update(state="running", lease=lease)
    with pytest.raises(Discard, match=f"by task {chunk.task_id}"):
        deliver_chunk(chunk.pk, task_id=other, lease=lease)
    assert states(campaign) == {"pending": 2}


def test_a_chunk_that_is_interrupted_never_mails_anybody_twice(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = launched(3)
    task, token = Task.objects.get(name="campaigns.deliver_chunk"), uuid.uuid4()
    Task.objects.filter(pk=task.pk).update(state="running", lease=token)
    listen = Wire.read_reply

    def interrupted(wire: Wire, **options: float) -> object:
        reply = listen(wire, **options)
        if smtp.bodies:
            raise TaskCancelled
        return reply

    with monkeypatch.context() as patch:
        patch.setattr(Wire, "read_reply", interrupted)
        with pytest.raises(TaskCancelled):
            deliver_chunk(CampaignTask.objects.get().pk, task_id=task.pk, lease=token)
    assert states(campaign) == {"unconfirmed": 1, "pending": 2}
    Task.objects.filter(pk=task.pk).update(state="queued", lease=None)
    work()
    assert states(campaign) == {"unconfirmed": 1, "sent": 2}
    assert len({email.message_from_bytes(body)["To"] for body in smtp.bodies}) == len(smtp.bodies) == 3


def test_a_message_that_makes_the_chunk_fail_leaves_nobody_in_doubt(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = launched(3)

    def broken(*_: object) -> str:
        raise RuntimeError("no link")

    with monkeypatch.context() as patch:
        patch.setattr("campaigns.services.letters.unsubscribe_url", broken)
        work()
    assert states(campaign) == {"pending": 3}
    work(wait=False)
    assert states(campaign) == {"sent": 3}


def test_outcomes_survive_a_database_that_is_away_for_a_moment(
    smtp: SmtpServer, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = launched(3)
    turn, losses = lifecycle.settle_and_lease, iter([OperationalError("gone"), OperationalError("still gone")])

    def unsteady(token: uuid.UUID, settled: list[Settled], wish: Wish | None) -> tuple[list[Leased], int | None]:
        if settled:
            for loss in losses:
                raise loss
        return turn(token, settled, wish)

    monkeypatch.setattr(lifecycle, "settle_and_lease", unsteady)
    work()
    assert next(losses, None) is None
    assert states(campaign) == {"sent": 3}
    assert len(smtp.bodies) == 3


@pytest.mark.parametrize("stage", ["rcpt", "dot"])
def test_a_policy_refusal_of_some_recipients_holds_up_nobody_else(smtp: SmtpServer, work: Work, stage: str) -> None:
    answers: list[str | bytes] = ["250 ok", "550 5.7.1 not from you", "550 5.7.1 nor me", "250 ok", "550 5.7.1 nor me"]
    smtp.script(**{stage: answers})
    campaign = launched(9)
    work()
    assert states(campaign) == {"sent": 6, "deferred": 3}
    assert set(Recipient.objects.values_list("attempts", flat=True)) == {1}


def test_a_recipient_that_policy_keeps_refusing_is_given_up(smtp: SmtpServer, work: Work, settings: object) -> None:
    settings.CAMPAIGNS_DEFER_SECONDS = [60]  # type: ignore[attr-defined]
    smtp.script(rcpt=["550 5.7.1 not from you"] * 2)
    campaign = launched(1)
    work()
    for _ in range(3):
        work(wait=False)
    assert states(campaign) == {"rejected": 1}
    assert "gave up after 2 attempts" in Recipient.objects.get().detail


def conduct_once(campaign: Campaign) -> bool:
    """Whether the conductor stays."""
    try:
        conduct(campaign.pk)
    except Snooze:
        return True
    return False


def test_a_conductor_stays_through_a_pause_and_until_nothing_is_in_flight() -> None:
    campaign = launched(2)
    first, _ = lease_all(campaign, token := uuid.uuid4())
    services.pause(campaign)
    assert conduct_once(campaign)
    services.resume(campaign)
    assert Task.objects.filter(name="campaigns.conduct").count() == 1
    services.cancel(campaign)
    lifecycle.settle(token, [Settled(first.id, RecipientState.SENT, 250)])
    assert conduct_once(campaign)
    Task.objects.filter(name="campaigns.deliver_chunk").update(state="queued", lease=None)
    assert not conduct_once(campaign)
    assert states(campaign) == {"sent": 1, "unconfirmed": 1}


def test_a_conductor_is_not_used_up_by_some_failures() -> None:
    launched(1)
    task = Task.objects.get(name="campaigns.conduct")
    assert (task.max_attempts, task.max_crashes) == (1_000, 1_000)


def test_only_the_recipients_that_are_due_again_get_a_new_chunk() -> None:
    campaign = launched(5)
    token = uuid.uuid4()
    rows = lease_all(campaign, token)
    due = rows[2].id
    lifecycle.settle(
        token, [Settled(r.id, RecipientState.DEFERRED if r.id == due else RecipientState.PENDING) for r in rows]
    )
    assert conduct_once(campaign)
    chunk = CampaignTask.objects.latest("pk")
    assert (chunk.first_id, chunk.last_id, chunk.size) == (due, due, 1)
    assert CampaignTask.objects.count() == 2


def test_an_unconfirmed_mail_is_never_opened_again() -> None:
    campaign = launched(2)
    token = uuid.uuid4()
    first, second = lease_all(campaign, token)
    Task.objects.filter(name="campaigns.deliver_chunk").update(state="queued", lease=None)
    lifecycle.recover(campaign.pk)
    assert (
        lifecycle.settle(
            token, [Settled(first.id, RecipientState.PENDING), Settled(second.id, RecipientState.DEFERRED, 451)]
        )
        == 0
    )
    assert states(campaign) == {"unconfirmed": 2}


def test_a_mailbox_that_does_not_exist_is_suppressed_and_a_full_one_is_not(smtp: SmtpServer, work: Work) -> None:
    smtp.script(rcpt=["550 5.1.1 no such user", "552 5.2.2 mailbox full"])
    campaign = launched(3)
    work()
    assert states(campaign) == {"sent": 1, "rejected": 2}
    entry = Suppression.objects.get()
    assert (entry.email, entry.reason, entry.source) == ("r0@example.com", "bounced", "SMTP 550")
    assert (entry.key, entry.campaign_id) == (Recipient.objects.earliest("pk").key, campaign.pk)


def test_a_campaign_that_mailed_somebody_cannot_be_deleted_so_that_its_links_work(
    smtp: SmtpServer, work: Work, client: Client
) -> None:
    campaign = launched(1)
    work()
    with pytest.raises(NotReady, match="unsubscribe links must go on working"):
        services.delete_campaign(campaign)
    link = services.unsubscribe_url(Recipient.objects.get().pk).removeprefix("http://testserver")
    client.post(link)
    assert Suppression.objects.get().email == "r0@example.com"
