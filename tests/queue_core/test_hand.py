"""What a worker process may not do with the tasks it holds, whatever stops it for a while."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import Error, OperationalError, connection, transaction
from pytest_django import Settings

from queue_core import conf, lifecycle, services, ticker
from queue_core.drain import Station
from queue_core.hand import Hand
from queue_core.lifecycle import Claimed
from queue_core.models import Execution, Queue, Task
from queue_core.services.register_worker import register_worker

Starter = Callable[[Callable[[], Any]], threading.Thread]


def claim(count: int, worker_id: int) -> list[Claimed]:
    services.submit_many([services.build("tests.noop", {}) for _ in range(count)])
    return lifecycle.claim(["default"], worker_id, count)


def rows() -> set[tuple[str, int]]:
    return set(Task.objects.values_list("state", "attempt"))


def test_what_may_have_been_given_back_is_never_run(worker_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hand, release = Hand(), lifecycle.release
    hand.take(claim(3, worker_id))

    def lose_the_answer(tasks: list[Claimed]) -> None:
        release(tasks)
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(lifecycle, "release", lose_the_answer)
    with pytest.raises(OperationalError):
        hand.give_back()
    assert hand.next() is None
    assert len(hand.held_ids()) == 3
    others = lifecycle.claim(["default"], register_worker(["default"]), 2)
    monkeypatch.setattr(lifecycle, "release", release)
    hand.give_back_stale()
    assert hand.held_ids() == []
    assert Task.objects.filter(lease=others[0].lease, state="running").count() == 2


def test_a_process_that_was_stopped_past_its_lease_starts_nothing(worker_id: int) -> None:
    now = 100.0
    hand = Hand(lambda: now)
    hand.take(claim(2, worker_id))
    hand.lease_until = now + conf.get("LEASE_SECONDS")
    assert hand.next()
    now += conf.get("LEASE_SECONDS") + 0.1
    assert hand.next() is None
    hand.lease_until = now + conf.get("LEASE_SECONDS")
    assert hand.next()


def test_a_worker_that_lost_its_lease_gives_back_what_it_had_in_hand(
    station: Station, lose: Callable[[int], None], settings: Settings
) -> None:
    settings.QUEUE_AHEAD_SECONDS = 60
    before = station.keeper.worker_id
    station.hand.take(claim(3, before))
    lose(before)
    station.keeper._next_beat = 0.0
    deadline = time.monotonic() + 5
    while station.keeper.worker_id == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert station.keeper.worker_id != before
    assert (station.hand.held_ids(), rows()) == ([], {("queued", 0)})
    assert station.hand.lease_until > station.hand.clock()


def test_a_worker_that_lost_its_lease_tells_what_runs_to_end(
    station: Station, lose: Callable[[int], None], in_thread: Starter
) -> None:
    pk, before = services.submit("tests.polite", {"seconds": 30}).id, station.keeper.worker_id
    Task.objects.update(max_crashes=1)  # it does not run again here

    def lose_it_while_it_runs() -> None:
        while not station.hand.running():
            time.sleep(0.02)
        lose(before)
        ticker.tick(if_older_than=0)  # rescues it
        station.keeper._next_beat = 0.0

    thread, started = in_thread(lose_it_while_it_runs), time.monotonic()
    station.serve(10, burst=True)
    thread.join()
    assert time.monotonic() - started < 10
    assert list(Execution.objects.filter(task=pk).values_list("attempt", "outcome")) == [(1, "lost")]
    assert Task.objects.get(pk=pk).error == lifecycle.attempts.LOST


def test_the_keeper_looks_at_what_others_are_just_taking_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "release", lambda tasks: [])
    hand, faults, interval = Hand(), [], sys.getswitchinterval()
    task = Claimed(1, "tests.noop", "default", "{}", 1, 5, 0, lease=None)  # type: ignore[arg-type]
    deadline = time.monotonic() + 1.5

    def look() -> None:
        while time.monotonic() < deadline:
            try:
                hand.give_back_stale()
                hand.has_suspect(5.0)
                hand.running()
                hand.held_ids()
            except Exception as exc:
                faults.append(exc)
                return

    def run() -> None:
        while time.monotonic() < deadline:
            run = hand.next()
            if run:
                with hand._lock:
                    hand._running[False].discard(run)

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for work in (look, *[run] * 8)]
        for thread in threads:
            thread.start()
        while time.monotonic() < deadline:
            if not hand.ahead():
                hand.take([task])
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert faults == []


@pytest.fixture
def short_lease(settings: Settings) -> None:
    settings.QUEUE_LEASE_SECONDS = 0.8


@pytest.fixture
def limited(transactional_db: None) -> int:
    Queue.objects.create(name="default", max_running=5)
    return register_worker(["default"])


def test_a_claim_that_is_frozen_does_not_keep_its_queue(
    limited: int, in_thread: Starter, short_lease: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, errors = threading.Event(), []

    def freeze(*_: Any) -> list[Claimed]:
        frozen.set()
        time.sleep(1.5)
        return []

    monkeypatch.setattr("queue_core.lifecycle.gated.take", freeze)

    def work() -> None:
        taker = lifecycle.Taker(limited, "00000000-0000-0000-0000-000000000000")  # type: ignore[arg-type]
        try:
            lifecycle.claim_limited([lifecycle.Spot("default", "", 1)], {}, 1, taker, queue_is_limited=True)
        except Error as exc:
            errors.append(str(exc))

    thread = in_thread(work)
    assert frozen.wait(5)
    began = time.monotonic()
    with transaction.atomic():
        lifecycle.queue_room("default", lock=True)
    assert time.monotonic() - began < 1.3
    thread.join()
    assert len(errors) == 1


@pytest.mark.parametrize("step", ["tick", "settle"])
def test_a_tick_that_is_frozen_does_not_keep_its_lock(
    step: str, transactional_db: None, in_thread: Starter, short_lease: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, errors = threading.Event(), []
    module, text = (ticker, "_MARK") if step == "tick" else (sys.modules["queue_core.lifecycle.settle"], "_ENDED")
    monkeypatch.setattr(module, text, Frozen(frozen))

    def work() -> None:
        try:
            ticker.tick(if_older_than=0) if step == "tick" else lifecycle.settle(1)
        except Error as exc:
            errors.append(str(exc))

    thread = in_thread(work)
    assert frozen.wait(5)
    began = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [0x706F7374 if step == "tick" else 1886352245])
    assert time.monotonic() - began < 1.3
    thread.join()
    assert len(errors) == 1


class Frozen(str):
    """SQL text whose use stops the thread for a while, as SIGSTOP does the process."""

    def __new__(cls, event: threading.Event) -> "Frozen":
        self = super().__new__(cls, "SELECT 1, %s")
        self.event = event  # type: ignore[attr-defined]
        return self

    def encode(self, *args: Any) -> bytes:
        self.event.set()  # type: ignore[attr-defined]
        time.sleep(1.5)
        return super().encode(*args)


def test_the_history_of_an_attempt_whose_claim_waited_lies_in_the_past(limited: int, in_thread: Starter) -> None:
    pk = services.submit("tests.noop").id
    locked = threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Queue.objects.select_for_update().get(pk="default")
            locked.set()
            time.sleep(1.0)

    thread = in_thread(hold)
    assert locked.wait(5)
    station = Station(conf.queues())
    station.open()
    try:
        station.serve(5, burst=True)
    finally:
        station.close()
    thread.join()
    task, attempt = Task.objects.get(pk=pk), Execution.objects.get(task_id=pk)
    # The claim's transaction began before it waited; the attempt did not.
    assert attempt.started_at > task.started_at
    assert (attempt.started_at - task.started_at).total_seconds() > 0.8
    assert attempt.started_at <= attempt.finished_at <= task.finished_at
    assert (task.finished_at - attempt.finished_at).total_seconds() < 0.5
