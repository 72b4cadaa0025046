"""One worker process from the inside."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from queue_core import broker, conf, lifecycle, services, ticker
from queue_core.drain import Station
from queue_core.models import Execution, Result, Task, Tick, Worker
from queue_core.services.register_worker import register_worker
from queue_core.ticker import tick


def ended(pk: int) -> tuple[str, int, str]:
    task = Task.objects.get(pk=pk)
    return task.state, task.attempt, task.error


def due_now() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET run_at = now() WHERE parked")
    while not tick(if_older_than=0):
        time.sleep(0.01)  # a worker's keeper has the turn at this moment


def test_drain_runs_tasks_and_keeps_their_results(station: Station) -> None:
    plain, coroutine = services.submit("tests.add", {"a": 2, "b": 3}), services.submit("tests.coroutine", {"value": 4})
    context = services.submit("tests.context", {"tag": "x"})
    station.serve(10, burst=True)
    assert Result.objects.get(task_id=plain.id).value == 5
    assert Result.objects.get(task_id=coroutine.id).value == 8
    assert Result.objects.get(task_id=context.id).value == {"id": context.id, "attempt": 1, "tag": "x"}
    assert not Result.objects.filter(task_id=services.submit("tests.noop").id).exists()


def test_drain_retries_with_backoff_until_attempts_are_used_up(station: Station) -> None:
    pk = services.submit("tests.fail", {"text": "boom"}).id
    station.serve(10, burst=True)
    task = Task.objects.get(pk=pk)
    assert (task.state, task.parked, task.shown_state) == ("queued", True, "retrying")
    for _ in range(2):
        due_now()
        station.serve(10, burst=True)
    assert ended(pk) == ("failed", 3, "ValueError: boom")
    history = Execution.objects.filter(task_id=pk).order_by("attempt")
    assert [(e.attempt, e.outcome, e.error_class) for e in history] == [
        (n, "failed", "builtins.ValueError") for n in (1, 2, 3)
    ]
    assert all("raise ValueError(text)" in e.traceback for e in history)


def test_drain_does_not_retry_a_discarded_task(station: Station) -> None:
    pk = services.submit("tests.discard").id
    station.serve(10, burst=True)
    assert ended(pk) == ("failed", 1, "never")


def test_drain_waits_as_long_as_the_task_says(station: Station) -> None:
    pk = services.submit("tests.retry_later", {"seconds": 500}).id
    station.serve(10, burst=True)
    task = Task.objects.get(pk=pk)
    assert task.started_at is not None
    assert 499 < (task.run_at - task.started_at).total_seconds() < 510


def test_drain_uses_no_attempt_for_a_snooze(station: Station) -> None:
    pk = services.submit("tests.snooze", {"seconds": 100}).id
    for _ in range(8):
        station.serve(10, burst=True)
        due_now()
    assert ended(pk) == ("queued", 0, "")
    assert not Execution.objects.filter(task_id=pk).exists()


def test_drain_ends_a_task_at_its_timeout_even_if_it_catches_exceptions(station: Station) -> None:
    pk, after = services.submit("tests.slow").id, services.submit("tests.noop").id
    started = time.monotonic()
    station.serve(10, burst=True)
    assert time.monotonic() - started < 3
    assert ended(pk) == ("failed", 1, "TimeoutError: ran longer than its timeout of 0.2 s")
    assert ended(after)[0] == "succeeded"


def test_drain_fails_an_unknown_name_and_tries_again_later(station: Station) -> None:
    pk = services.submit("tests.noop").id
    Task.objects.filter(pk=pk).update(name="gone.away")
    station.serve(10, burst=True)
    state, attempt, error = ended(pk)
    assert (state, attempt) == ("queued", 1)
    assert "gone.away" in error


def test_drain_fails_only_the_task_whose_result_cannot_be_stored(station: Station) -> None:
    bad = services.submit("tests.surrogate", max_attempts=1).id
    good = [services.submit("tests.add", {"a": i, "b": 1}).id for i in range(5)]
    station.serve(10, burst=True)
    assert ended(bad)[0] == "failed"
    assert "surrogates not allowed" in ended(bad)[2]
    assert all(ended(pk)[0] == "succeeded" for pk in good)


def test_drain_stores_the_batch_around_an_outcome_the_database_refuses(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queue_core.execution.runner.result_text", lambda value: value and '{"not json')
    bad = services.submit("tests.add", {"a": 1, "b": 1}).id
    good = [services.submit("tests.noop").id for _ in range(3)]
    station.serve(10, burst=True)
    assert ended(bad)[0] == "failed"
    assert "could not be stored" in ended(bad)[2]
    assert all(ended(pk)[0] == "succeeded" for pk in good)


def test_drain_gives_back_what_lies_behind_a_slow_task(
    station: Station, silent_bell: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = services.submit("tests.sleep", {"seconds": 1.5}, priority=1).id
    quick = [services.submit("tests.noop").id for _ in range(3)]
    station.size = 4  # as after a run of quick tasks
    done = threading.Event()

    seen: list[str] = []

    def look() -> None:
        deadline = time.monotonic() + 1.2
        while time.monotonic() < deadline and seen != ["queued"] * 3:
            seen[:] = list(Task.objects.filter(pk__in=quick).values_list("state", flat=True))
            time.sleep(0.05)
        connection.close()
        done.set()

    threading.Thread(target=look).start()
    station.serve(10, burst=True)
    assert done.wait(5)
    assert seen == ["queued"] * 3
    assert silent_bell.count("default") >= 5
    assert ended(slow)[0] == "succeeded"
    assert [ended(pk)[:2] for pk in quick] == [("succeeded", 1)] * 3


def test_drain_writes_outcomes_while_a_slow_task_runs(station: Station) -> None:
    quick = [services.submit("tests.noop", priority=1).id for _ in range(3)]
    services.submit("tests.sleep", {"seconds": 1.0})
    station.size = 4
    seen = threading.Event()

    def look() -> None:
        deadline = time.monotonic() + 0.8
        while time.monotonic() < deadline:
            if Task.objects.filter(pk__in=quick, state="succeeded").count() == 3:
                seen.set()
                break
            time.sleep(0.02)
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    station.serve(10, burst=True)
    thread.join(5)
    assert seen.is_set()


def test_drain_claims_an_unknown_speed_alone_and_grows_with_quick_tasks(station: Station) -> None:
    assert station.size == 1
    services.submit_many([services.build("tests.noop", {}) for _ in range(2_000)])
    station.serve(20, burst=True)
    assert station.size > 50
    services.submit("tests.sleep", {"seconds": 0.3})
    station.serve(20, burst=True)
    assert station.size == 1


def test_drain_runs_tasks_lost_before_one_at_a_time(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    pks = services.submit_many([services.build("tests.noop", {}) for _ in range(6)])
    Task.objects.filter(pk__in=pks[:3]).update(crashes=1, attempt=1)
    batches: list[list[int]] = []
    isolate = station._isolate

    def spy(batch: list[lifecycle.Claimed]) -> list[lifecycle.Claimed]:
        kept = isolate(batch)
        batches.append([task.crashes for task in kept])
        return kept

    monkeypatch.setattr(station, "_isolate", spy)
    station.size = 6
    station.serve(10, burst=True)
    assert batches[0] == [0, 0, 0, 1]
    assert all(sum(batch) <= 1 and (1 not in batch[:-1]) for batch in batches)
    assert all(ended(pk)[0] == "succeeded" for pk in pks)


def test_drain_stops_between_two_tasks_and_gives_back_the_rest(station: Station) -> None:
    pks = [services.submit("tests.sleep", {"seconds": 0.4}).id for _ in range(4)]
    station.size = 4
    threading.Timer(0.1, station.stop).start()
    station.serve(10)
    states = [ended(pk)[:2] for pk in pks]
    assert states == [("succeeded", 1)] + [("queued", 0)] * 3


def test_a_task_that_leaves_a_transaction_open_does_not_spoil_the_next_one(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import transaction

    from queue_core import registry

    def leave_open(**_: object) -> None:
        transaction.atomic().__enter__()
        raise ValueError("left open")

    object.__setattr__(registry.get("tests.discard"), "func", leave_open)
    try:
        pk, after = services.submit("tests.discard", max_attempts=1).id, services.submit("tests.noop").id
        station.serve(10, burst=True)
    finally:
        from tests import tasks

        object.__setattr__(registry.get("tests.discard"), "func", tasks.discard_function)
    assert ended(pk)[0] == "failed"
    assert ended(after)[0] == "succeeded"


def test_a_worker_that_lost_its_lease_goes_on_under_a_new_row(station: Station, lose: Callable[[int], None]) -> None:
    first = station.keeper.worker_id
    lose(first)
    tick(if_older_than=0)
    station.keeper._next_beat = 0.0
    deadline = time.monotonic() + 5
    while station.keeper.worker_id == first and time.monotonic() < deadline:
        time.sleep(0.02)
    pk = services.submit("tests.noop").id
    station.serve(10, burst=True)
    assert station.keeper.worker_id != first
    assert Task.objects.get(pk=pk).worker_id == station.keeper.worker_id
    assert Worker.objects.get(pk=first).state == "lost"


@pytest.mark.django_db(transaction=True)
def test_tick_rings_for_waiting_work_and_takes_turns(silent_bell: list[str]) -> None:
    services.submit("tests.noop", queue="low")
    services.submit("tests.noop", queue="high", delay=60)
    silent_bell.clear()
    assert tick(if_older_than=0)
    assert silent_bell == ["low"]
    assert not tick(if_older_than=5)
    assert silent_bell == ["low"]


@pytest.mark.django_db(transaction=True)
def test_a_worker_ticks_when_no_scheduler_does(silent_bell: list[str]) -> None:
    services.submit("tests.noop")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ticks VALUES (1, now() - interval '1 minute')")
    silent_bell.clear()
    made = Station(conf.queues())
    made.open()
    try:
        deadline = time.monotonic() + 5
        while not silent_bell and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        made.close()
    assert silent_bell == ["default"]


def test_a_worker_beats_while_the_tick_that_it_makes_for_others_takes_long(
    station: Station, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> int:
        begun.set()
        go_on.wait(10)
        raise RuntimeError("a step of the tick is broken")

    monkeypatch.setattr("queue_core.ticker.rescue", wait)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ticks")
    station.keeper._next_beat = 0.0
    try:
        assert begun.wait(10)
        before = Worker.objects.get(pk=station.keeper.worker_id).heartbeat_at
        station.keeper._next_beat = 0.0
        deadline = time.monotonic() + 5
        while Worker.objects.get(pk=station.keeper.worker_id).heartbeat_at == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert Worker.objects.get(pk=station.keeper.worker_id).heartbeat_at > before
    finally:
        go_on.set()
    station.keeper.stand_in.close()
    assert "a step of the tick is broken" in caplog.text
    assert station.keeper.is_alive()


@pytest.mark.django_db(transaction=True)
def test_a_backlog_beyond_the_time_of_a_step_waits_for_the_next_tick_and_the_mark_is_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(3):
        services.submit("tests.noop", delay=100)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks SET run_at = now()")
    monkeypatch.setattr(ticker, "_SLICE", 1)
    monkeypatch.setattr(ticker, "_STEP_SECONDS", 0.0)
    assert tick(if_older_than=0)
    assert Task.objects.filter(parked=True).count() == 3
    monkeypatch.setattr(ticker, "_STEP_SECONDS", 5.0)
    monkeypatch.setattr(ticker, "_MARK_SECONDS", 0.0)
    marks: list[Any] = []
    unpark = lifecycle.unpark

    def seen(size: int) -> list[str]:
        marks.append(Tick.objects.get().ticked_at)
        return unpark(size)

    monkeypatch.setattr(lifecycle, "unpark", seen)
    assert tick(if_older_than=0)
    assert not Task.objects.filter(parked=True).exists()
    assert len(set(marks)) == len(marks) == 4


def test_the_bell_wakes_a_lingering_worker_and_never_piles_up(real_bell: None) -> None:
    while broker.wait(["low"], 0.01):
        pass
    for _ in range(5):
        broker.ring("low")
    assert broker.wait(["low"], 1)
    assert not broker.wait(["low"], 0.05)
    threading.Timer(0.1, broker.ring, ["low"]).start()
    started = time.monotonic()
    assert broker.wait(["high", "low"], 5)
    assert time.monotonic() - started < 2


@pytest.mark.django_db
def test_a_batch_of_a_dead_worker_is_not_claimed_into_the_void(worker_id: int, lose: Callable[[int], None]) -> None:
    services.submit_many([services.build("tests.noop", {}) for _ in range(5)])
    assert len(lifecycle.claim(["default"], worker_id, 10)) == 5
    lose(worker_id)
    tick(if_older_than=0)
    assert len(lifecycle.claim(["default"], register_worker(["default"]), 10)) == 5


@pytest.mark.parametrize("name", ["tests.sleep", "tests.polite"])
def test_a_running_task_ends_when_it_is_cancelled(
    station: Station, settings: Settings, in_thread: Callable[[Callable[[], object]], threading.Thread], name: str
) -> None:
    settings.QUEUE_GRACE_SECONDS = 0.3 if name == "tests.sleep" else 30.0
    pk, after = services.submit(name, {"seconds": 20}).id, services.submit("tests.noop").id

    def cancel_when_running() -> None:
        while not Task.objects.filter(pk=pk, state="running").exists():
            time.sleep(0.02)
        services.cancel([pk])

    thread = in_thread(cancel_when_running)
    started = time.monotonic()
    station.serve(30, burst=True)
    thread.join(5)
    assert time.monotonic() - started < 5
    assert ended(pk)[:2] == ("cancelled", 1)
    assert Execution.objects.get(task_id=pk).outcome == "cancelled"
    assert ended(after)[0] == "succeeded"


def test_a_lost_connection_in_mid_batch_leaves_nothing_running(station: Station) -> None:
    pks = services.submit_many([services.build("tests.noop", {}) for _ in range(600)])
    cut = services.submit("tests.cut", priority=50).id
    station.size = 100
    station.serve(20, burst=True)
    assert set(Task.objects.filter(pk__in=[*pks, cut]).values_list("state", flat=True)) == {"succeeded"}
    assert Execution.objects.filter(task_id__in=pks).count() == 600


def test_tasks_behind_a_slow_one_survive_a_lost_connection(
    station: Station, in_thread: Callable[[Callable[[], object]], threading.Thread]
) -> None:
    services.submit("tests.sleep", {"seconds": 1.0}, priority=5)
    pks = services.submit_many([services.build("tests.noop", {}) for _ in range(30)])
    station.size = 31

    def cut_all() -> None:
        time.sleep(0.15)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

    thread = in_thread(cut_all)
    station.serve(20, burst=True)
    thread.join(5)
    deadline = time.monotonic() + 5
    while Task.objects.filter(pk__in=pks).exclude(state="succeeded").exists() and time.monotonic() < deadline:
        station.serve(5, burst=True)
    assert Task.objects.filter(pk__in=pks, state="succeeded").count() == 30


@pytest.mark.parametrize("name", ["tests.cancel_itself", "tests.leave_open", "tests.no_autocommit"])
def test_what_a_task_does_to_its_process_ends_with_it(station: Station, name: str) -> None:
    odd, after = services.submit(name, max_attempts=1).id, services.submit("tests.noop").id
    station.serve(10, burst=True)
    assert ended(odd)[0] == ("failed" if name == "tests.cancel_itself" else "succeeded")
    assert ended(after)[0] == "succeeded"


def test_a_claim_whose_answer_was_lost_is_given_back(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queue_core.keeper._UNHELD_SECONDS", 0.0)
    pk = services.submit("tests.noop").id
    assert lifecycle.claim(["default"], station.keeper.worker_id, 1)
    station.keeper._next_beat = 0.0
    deadline = time.monotonic() + 5
    while ended(pk)[0] == "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended(pk)[:2] == ("queued", 0)


def test_work_goes_on_past_a_slice_while_valkey_is_away(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(queues: list[str], seconds: float) -> bool:
        raise broker.BrokerDown("away")

    monkeypatch.setattr(broker, "wait", down)
    monkeypatch.setattr(broker, "ring", lambda queue: False)
    threading.Timer(1.2, station.stop).start()
    threading.Timer(0.8, lambda: (services.submit("tests.noop"), connection.close())).start()
    station.serve(0.1)
    assert Task.objects.get().state == "succeeded"


def test_a_heartbeat_that_goes_on_failing_ends_the_process_when_its_lease_does(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_by: list[int] = []
    monkeypatch.setattr("queue_core.keeper.os.kill", lambda pid, signum: ended_by.append(signum))
    monkeypatch.setattr("queue_core.keeper.beat", lambda *_: 1 / 0)
    station.hand.lease_until = station.hand.clock() + 4.0
    station.keeper._next_beat = 0.0
    station.keeper.join(5)
    assert ended_by == [signal.SIGTERM]


def test_one_heartbeat_that_fails_ends_nothing(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_by: list[int] = []
    failed: list[bool] = []

    def fail_once() -> None:
        if not failed:
            failed.append(True)
            raise RuntimeError("no")

    monkeypatch.setattr("queue_core.keeper.os.kill", lambda pid, signum: ended_by.append(signum))
    monkeypatch.setattr(station.keeper.stand_in, "look", fail_once)
    station.keeper._next_beat = 0.0
    services.submit("tests.noop")
    deadline = time.monotonic() + 5
    while not failed and time.monotonic() < deadline:
        time.sleep(0.01)
    station.serve(5, burst=True)
    assert Task.objects.get().state == "succeeded"
    assert failed
    assert ended_by == []
    assert station.keeper.is_alive()
