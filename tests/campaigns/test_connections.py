"""A chunk goes out over several connections at once; they stay open from chunk to chunk."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns import breaker, lifecycle, mailer, services
from campaigns.lifecycle import Leased
from campaigns.mailer import Crew, Work
from campaigns.mailer.pool import Pool
from campaigns.models import Campaign, CampaignTask, MailBreaker, Recipient
from campaigns.services.letters import Letters
from campaigns.smtp import Envelope, Session, Transport
from queue_core.models import Task
from tests.campaigns.smtp_server import DROP, SmtpServer
from tests.factories import CampaignFactory, add_recipients, counts_by_scan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines(smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], SmtpServer]:
    def set_lines(count: int) -> SmtpServer:
        monkeypatch.setattr(mailer, "transport", lambda: Transport("127.0.0.1", smtp.port, connections=count))
        return smtp

    return set_lines


def launched(count: int) -> Campaign:
    campaign = CampaignFactory.create()
    add_recipients(campaign, count)
    return services.launch(campaign)


def states(campaign: Campaign) -> dict[str, int]:
    scanned = counts_by_scan(campaign)
    assert lifecycle.counts(campaign.pk) == scanned
    return {state: n for state, n in scanned.items() if n}


def test_a_slow_server_is_mailed_over_all_connections_at_once(
    lines: Callable[[int], SmtpServer], work: Callable[..., None]
) -> None:
    server = lines(10)
    server.delay = 0.1
    campaign = launched(100)
    started = time.monotonic()
    work()
    assert time.monotonic() - started < 5  # one connection needs ten seconds
    assert states(campaign) == {"sent": 100}
    assert server.connections == 10
    assert set(Counter(server.recipients).values()) == {1}


def test_connections_are_kept_for_the_next_chunk(
    lines: Callable[[int], SmtpServer], work: Callable[..., None], settings: object
) -> None:
    settings.CAMPAIGNS_CHUNK_SIZE = 100  # type: ignore[attr-defined]
    server = lines(1)
    server.delay = 0.01
    launched(150)
    launched(20)
    work()
    assert CampaignTask.objects.count() == 3
    assert len(server.bodies) == 170
    assert server.connections == 2  # the second after 100 messages


def test_no_more_connections_are_opened_than_there_are_messages(
    lines: Callable[[int], SmtpServer], work: Callable[..., None]
) -> None:
    server = lines(10)
    launched(3)
    work()
    assert server.connections <= 3


def test_a_lost_answer_puts_one_recipient_per_connection_in_doubt(
    lines: Callable[[int], SmtpServer], work: Callable[..., None]
) -> None:
    server = lines(4)
    server.script(dot=[DROP] * 4)
    campaign = launched(60)
    work()
    # Three answers in a row that do not come end the chunk: the others follow in the next one.
    assert states(campaign)["unconfirmed"] in (3, 4)
    work(wait=False)
    assert states(campaign) == {"sent": 56, "unconfirmed": 4}
    assert set(Counter(server.addressed()).values()) == {1}


def test_no_more_rows_are_in_flight_than_the_connections_may_have(
    lines: Callable[[int], SmtpServer], work: Callable[..., None], settings: object
) -> None:
    settings.CAMPAIGNS_GROUP_SIZE = 3  # type: ignore[attr-defined]
    server = lines(4)
    server.delay = 0.05
    campaign = launched(80)
    seen = []

    def watch() -> None:
        while len(server.bodies) < 80:
            seen.append(lifecycle.counts(campaign.pk)["sending"])
            time.sleep(0.02)
        from django.db import connection

        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    watcher.join()
    assert 4 <= max(seen) <= 12


def test_a_refusal_of_the_sender_on_one_connection_stops_all(
    lines: Callable[[int], SmtpServer], work: Callable[..., None]
) -> None:
    server = lines(4)
    server.script(mail=["250 ok"] * 3 + ["550 no such sender"])
    server.delay = 0.05
    campaign = launched(60)
    work()
    found = states(campaign)
    assert set(found) <= {"sent", "pending"}
    assert found["pending"] > 40
    assert found.get("sent", 0) == len(server.bodies)


def test_three_answers_in_a_row_that_do_not_come_are_counted_over_all_connections(
    lines: Callable[[int], SmtpServer], work: Callable[..., None]
) -> None:
    server = lines(20)
    server.delay = 0.01
    server.script(dot=[DROP] * 500)
    campaign = launched(400)
    work()
    assert states(campaign)["unconfirmed"] <= 40  # one of each connection, and one that was begun meanwhile


@pytest.mark.parametrize("limit", [1, 3])
def test_one_connection_too_many_is_no_refusal_of_us(
    lines: Callable[[int], SmtpServer], work: Callable[..., None], limit: int
) -> None:
    server = lines(10)
    server.script(greeting=["220 hello"] * limit + ["421 4.7.0 too many connections from your host"] * 50)
    server.delay = 0.02
    campaign = launched(60)
    work()
    assert states(campaign) == {"sent": 60}
    assert server.connections == 10
    assert set(Counter(server.addressed()).values()) == {1}
    assert not MailBreaker.objects.filter(failures__gt=0).exists()


def test_when_nobody_is_let_in_each_tried_once_and_that_is_a_refusal(
    lines: Callable[[int], SmtpServer], work: Callable[..., None]
) -> None:
    server = lines(5)
    server.script(greeting=["421 4.7.0 too many connections from your host"] * 50)
    campaign = launched(60)
    work()
    assert states(campaign) == {"pending": 60}
    assert server.connections == 5
    assert MailBreaker.objects.get().failures == 1


def test_a_chunk_that_is_not_let_in_while_others_are_trips_nothing(smtp: SmtpServer, work: Callable[..., None]) -> None:
    """Another worker has all the connections that the server allows."""
    breaker.took("smtp-url", ["a.example"])
    smtp.script(greeting=["421 too many"] * 3)
    campaign = launched(2)
    for _ in range(3):
        work(wait=False)
    assert not MailBreaker.objects.filter(failures__gt=0).exists()
    MailBreaker.objects.update(taken_at=timezone.now() - timedelta(seconds=11))
    smtp.script(greeting=["421 too many"])
    work(wait=False)
    assert MailBreaker.objects.get().failures == 1
    work(wait=False)
    assert states(campaign) == {"sent": 2}


@pytest.mark.parametrize("threads", [1, 4])
def test_without_a_thread_nobody_is_in_doubt(
    work: Callable[..., None], lines: Callable[[int], SmtpServer], monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    server = lines(threads)
    campaign = launched(30)
    start, seen = threading.Thread.start, []

    def refused(thread: threading.Thread) -> None:
        if thread.name == "sender" and (seen.append(1) or len(seen)) >= threads:  # type: ignore[func-returns-value]
            raise RuntimeError("can't start new thread")
        start(thread)

    hire = mailer.hire

    def threaded(route: mailer.Route) -> Crew:
        crew = hire(route)
        crew._at_most = threads
        return crew

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        patch.setattr(mailer, "hire", threaded)
        work()
    found = states(campaign)
    assert set(found) <= {"sent", "pending"}
    assert found.get("sent", 0) == len(server.bodies)
    work(wait=False)
    assert states(campaign) == {"sent": 30}


def test_a_fault_while_a_sender_is_fetched_ends_the_chunk(
    smtp: SmtpServer, work: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def borrow(pool: object, transport: object) -> None:
        raise RuntimeError("no more files")

    campaign = launched(3)
    with monkeypatch.context() as patch:
        patch.setattr(Pool, "borrow", borrow)
        work()
    assert states(campaign) == {"pending": 3}
    assert "no more files" in Task.objects.get(name="campaigns.deliver_chunk").error


def test_a_fault_of_ours_fails_the_chunk_and_leaves_nobody_in_doubt(
    lines: Callable[[int], SmtpServer], work: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lines(4)
    server.delay = 0.02
    campaign = launched(30)
    fifth = Recipient.objects.order_by("pk")[5].pk
    make = Letters.make

    def faulty(letters: Letters, row: Leased) -> Envelope:
        if row.id == fifth:
            raise RuntimeError("a fault of ours")
        return make(letters, row)

    with monkeypatch.context() as patch:
        patch.setattr(Letters, "make", faulty)
        work()
    found = states(campaign)
    assert set(found) <= {"sent", "pending"}
    assert "a fault of ours" in Task.objects.get(name="campaigns.deliver_chunk").error
    work(wait=False)
    assert states(campaign) == {"sent": 30}
    assert len(server.bodies) == len(set(server.bodies)) == 30


@pytest.mark.parametrize("threads", [1, 4])
def test_a_crew_leaves_no_descriptor_behind_whether_it_had_work_or_not(smtp: SmtpServer, threads: int) -> None:
    def go(work: list[Work]) -> None:
        crew = Crew(4, threads=threads, borrow=lambda: Session(to), give_back=lambda sender: sender.close())
        crew.add(work)
        crew.collect(len(work), 5)
        crew.dismiss(5)

    def mail(key: int) -> Work:
        return Work(key, lambda: Envelope(key, "a@example.com", "b@example.com", b"x"))

    to = Transport("127.0.0.1", smtp.port)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        go([])
        go([mail(1)])
    deadline = time.monotonic() + 5
    # The server's ends of the connections go a moment later.
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(os.listdir("/proc/self/fd")) <= before
    assert len(smtp.bodies) == 10


def test_a_connection_that_was_idle_for_long_is_closed_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Line:
        closed = False

        def close(self) -> None:
            self.closed = True

    pool: Pool[str] = Pool(lambda transport: Line())  # type: ignore[arg-type,return-value]
    first = pool.borrow("a")
    pool.give_back("a", first)
    assert pool.borrow("b") is not first
    assert pool.borrow("a") is first
    pool.give_back("a", first)
    now = time.monotonic()
    monkeypatch.setattr("campaigns.mailer.pool.time.monotonic", lambda: now + 21)
    assert pool.borrow("b") is not None
    assert first.closed  # type: ignore[attr-defined]
    assert pool.borrow("a") is not first


def test_a_quiet_process_keeps_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaigns.mailer.pool._IDLE_SECONDS", 0.2)
    closed = threading.Event()

    class Line:
        def close(self) -> None:
            closed.set()

    pool: Pool[str] = Pool(lambda transport: Line())  # type: ignore[arg-type,return-value]
    first = pool.borrow("a")
    pool.give_back("a", first)
    time.sleep(0.1)
    assert pool.borrow("a") is first
    pool.give_back("a", first)
    assert not closed.is_set()
    assert closed.wait(5)
    assert pool.borrow("a") is not first
