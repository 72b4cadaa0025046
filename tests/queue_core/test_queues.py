"""Queues that are paused or limited, over all workers."""

import threading
import time
import uuid
from collections.abc import Callable

import pytest
from django.db import connection

from queue_core import conf, lifecycle, services
from queue_core.claims import Claims
from queue_core.drain import Station
from queue_core.errors import InvalidSubmission, UnknownQueue
from queue_core.models import Queue, Task
from queue_core.services.register_worker import register_worker


def submit(count: int, queue: str = "default", name: str = "tests.noop", **payload: object) -> list[int]:
    return services.submit_many([services.build(name, payload, queue=queue) for _ in range(count)])


def states(pks: list[int]) -> list[str]:
    return sorted(Task.objects.filter(pk__in=pks).values_list("state", flat=True))


def claim(worker_id: int, limit: int = 100) -> list[lifecycle.Claimed]:
    spots, taker = [lifecycle.Spot("default", "", limit)], lifecycle.Taker(worker_id, uuid.uuid4())
    return lifecycle.claim_limited(spots, {}, limit, taker, queue_is_limited=True)


def test_a_paused_queue_waits_and_the_others_go_on(station: Station) -> None:
    paused, others = submit(2, "default"), submit(2, "low")
    services.pause_queue("default")
    assert Claims(conf.queues()).waiting() == ["low"]
    station.serve(5, burst=True)
    assert states(paused) == ["queued"] * 2
    assert states(others) == ["succeeded"] * 2
    services.resume_queue("default")
    time.sleep(0.9)
    station.serve(5, burst=True)
    assert states(paused) == ["succeeded"] * 2


def test_a_pause_is_heard_while_the_queue_is_worked_off(
    station: Station, in_thread: Callable[[Callable[[], object]], threading.Thread]
) -> None:
    pks = submit(200, "default", "tests.sleep", seconds=0.01)

    def pause() -> None:
        time.sleep(0.4)
        services.pause_queue("default")

    thread = in_thread(pause)
    started = time.monotonic()
    station.serve(30, burst=True)
    thread.join(5)
    assert time.monotonic() - started < 1.4
    assert set(states(pks)) == {"queued", "succeeded"}


@pytest.mark.django_db
def test_max_running_is_never_passed_and_room_is_shared(worker_id: int) -> None:
    submit(20)
    services.limit_queue("default", max_running=6)
    other = register_worker(["default"])
    first = claim(worker_id)
    assert [len(first), len(claim(other)), len(claim(worker_id)), len(claim(other)), len(claim(other))] == [
        3,
        2,
        1,
        0,
        0,
    ]
    lifecycle.release(first)
    assert len(claim(other)) == 2
    services.limit_queue("default", max_running=None)
    assert len(claim(other)) == 15


@pytest.mark.django_db
def test_a_rate_lets_start_what_the_bucket_holds(worker_id: int) -> None:
    submit(20)
    services.limit_queue("default", rate="10/s")
    assert len(claim(worker_id)) == 10
    assert len(claim(worker_id)) == 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE queues SET refilled_at = refilled_at - interval '300 ms'")
    assert len(claim(worker_id)) in (3, 4)
    services.limit_queue("default", rate="1/h")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE queues SET tokens = 0, refilled_at = now()")
    assert len(claim(worker_id)) == 0


@pytest.mark.django_db(transaction=True)
def test_limits_hold_for_many_workers_at_once(in_thread: Callable[[Callable[[], object]], threading.Thread]) -> None:
    submit(300)
    services.limit_queue("default", max_running=40)
    workers = [register_worker(["default"]) for _ in range(6)]
    most: list[int] = []
    barrier = threading.Barrier(6)

    def work(worker: int) -> None:
        barrier.wait(10)
        for _ in range(15):
            claim(worker, 10)
            most.append(Task.objects.filter(state="running").count())

    threads = [in_thread(lambda worker=worker: work(worker)) for worker in workers]
    for thread in threads:
        thread.join(30)
    assert max(most) == 40
    assert Task.objects.filter(state="running").count() == 40


def test_a_limited_queue_is_worked_off_at_its_rate(station: Station) -> None:
    pks = submit(30)
    services.limit_queue("default", rate="20/s")
    started = time.monotonic()
    while "queued" in states(pks):
        station.serve(5, burst=True)
        time.sleep(0.02)
    assert 0.4 < time.monotonic() - started < 3


@pytest.mark.django_db
@pytest.mark.parametrize("rate", ["", "10", "10/x", "0/s", "-1/s", "1/0s", "1/m1", "9" * 40 + "/s", "1/999999d", 5])
def test_a_rate_that_cannot_be_read_is_refused(rate: str) -> None:
    with pytest.raises(InvalidSubmission, match="must look like"):
        services.limit_queue("default", rate=rate)
    assert not Queue.objects.exists()


@pytest.mark.django_db
def test_what_is_no_limit_or_no_queue_is_refused() -> None:
    for wrong in (0, -1, True, 1.5, "3", 10**9):
        with pytest.raises(InvalidSubmission, match="max_running"):
            services.limit_queue("default", max_running=wrong)  # type: ignore[arg-type]
    for verb in (services.pause_queue, services.resume_queue, services.limit_queue):
        with pytest.raises(UnknownQueue):
            verb("nowhere")


@pytest.mark.django_db
def test_a_rate_reads_as_it_was_written() -> None:
    for rate in ("100/m", "5/10s", "2000/h", "1/d"):
        assert services.limit_queue("default", rate=rate).rate == rate
    assert services.limit_queue("default", rate=None).rate == ""
