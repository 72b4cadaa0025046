"""Task types and keys that are limited, and lanes that are served in turns."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from queue_core import conf, lifecycle, registry, services
from queue_core.claims import Claims
from queue_core.drain import Station
from queue_core.errors import InvalidSubmission, UnknownTask
from queue_core.models import Lane, Queue, Task, TypePolicy
from queue_core.services.prune import prune
from queue_core.services.register_worker import register_worker


def submit(count: int, name: str = "tests.noop", payload: dict[str, Any] | None = None, **options: Any) -> list[int]:
    return services.submit_many([services.build(name, payload or {}, **options) for _ in range(count)])


def claims() -> Claims:
    return Claims(conf.queues())


def names_of(batch: list[lifecycle.Claimed]) -> dict[str, int]:
    return dict(Counter(task.name for task in batch))


def keys_of(batch: list[lifecycle.Claimed]) -> dict[str, int]:
    return dict(Counter(task.lane.partition(":")[2] for task in batch))


def run_sql(sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)


# --- lanes


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "payload", "options", "lane"),
    [
        ("tests.noop", {}, {}, ""),
        ("tests.noop", {}, {"key": "acme"}, ":acme"),
        ("tests.noop", {}, {"key": 7}, ":7"),
        ("tests.fair", {"customer": "acme"}, {}, ":acme"),
        ("tests.fair", {"customer": None}, {}, ""),
        ("tests.limited", {}, {}, "tests.limited:"),
        ("tests.limited", {}, {"key": "a:b"}, "tests.limited:a:b"),
        ("tests.per_key", {"customer": {"id": 7}}, {}, "tests.per_key:7"),
        ("tests.per_key", {"customer": 7}, {}, "tests.per_key:"),
        ("tests.per_key", {"customer": {"id": 7}}, {"key": "other"}, "tests.per_key:other"),
        ("tests.rated_key", {"customer": "é" * 100}, {}, "tests.rated_key:" + "é" * 100),
    ],
)
def test_a_task_gets_the_lane_of_its_type_and_key(name: str, payload: Any, options: Any, lane: str) -> None:
    (pk,) = submit(1, name, payload, **options)
    assert services.submit(name, payload, **options).created
    assert set(Task.objects.values_list("lane", flat=True)) == {lane}
    assert Task.objects.get(pk=pk).key == lane.partition(":")[2]


@pytest.mark.django_db
def test_a_replay_and_a_retry_keep_the_lane(worker_id: int) -> None:
    (pk,) = submit(1, "tests.noop", key="acme")
    services.cancel([pk])
    services.replay([pk])
    services.retry([pk])
    assert set(Task.objects.values_list("lane", "state")) == {(":acme", "queued")}


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 101, "a\x00", "a\n", "\ud800", True, 1.5, ["a"], {}, 2**70])
def test_what_cannot_be_a_key_is_refused(key: Any) -> None:
    with pytest.raises(InvalidSubmission, match="key: "):
        services.submit("tests.noop", {}, key=key)
    with pytest.raises(InvalidSubmission):
        services.submit("tests.fair", {"customer": key})
    with pytest.raises(InvalidSubmission, match="key: "):
        services.submit("tests.rated_key", {})
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"max_running": 0}, "max_running of the task"),
        ({"max_running": True}, "max_running"),
        ({"key_max_running": "3"}, "key_max_running"),
        ({"rate": "fast"}, "must look like 100/m"),
        ({"key_rate": 5}, "key_rate"),
        ({"key": 3}, "must be a path"),
        ({"key": ""}, "must be a path"),
        ({"name": "a:b"}, "names hold no colon"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused_where_it_is_written(policy: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        registry.task(**policy)(test_a_policy_that_cannot_be_kept_is_refused_where_it_is_written)


# --- fair turns


@pytest.mark.django_db
def test_one_task_of_a_key_is_taken_in_the_first_batch_beside_twenty_thousand_of_another(worker_id: int) -> None:
    run_sql(
        "INSERT INTO tasks (name, queue, lane) SELECT 'tests.fair', 'default', ':big' FROM generate_series(1, 20000)"
    )
    (small,) = submit(1, "tests.fair", {"customer": "small"})
    (plain,) = submit(1)
    worker = claims()
    batch = [task.id for _ in range(3) for task in worker.batch(worker_id, 1)]
    assert {small, plain} < set(batch)
    submit(5, "tests.fair", {"customer": "small"})
    assert keys_of(worker.batch(worker_id, 10)) == {"big": 5, "small": 5}
    assert keys_of(worker.batch(worker_id, 10)) == {"big": 10}


@pytest.mark.django_db
def test_each_of_many_keys_has_its_turn(worker_id: int) -> None:
    for number in range(300):
        submit(2, "tests.fair", {"customer": f"c{number}"})
    worker = claims()
    turns = [task.lane for _ in range(300) for task in worker.batch(worker_id, 1)]
    assert len(set(turns)) == 300
    more = [task.lane for _ in range(6) for task in worker.batch(worker_id, 50)]
    assert len(set(more)) == 300
    assert worker.batch(worker_id, 50) == []


@pytest.mark.django_db
def test_priority_orders_the_tasks_of_a_lane_and_queues_keep_their_order(worker_id: int) -> None:
    submit(1, queue="low", key="a", priority=100)
    late, soon = submit(1, key="a"), submit(1, key="a", priority=5)
    other = submit(1, key="b", priority=-5)
    worker = claims()
    order = [task.id for _ in range(3) for task in worker.batch(worker_id, 1)]
    assert order == [*soon, *other, *late]


@pytest.mark.django_db
def test_a_queue_with_lanes_is_worked_off_to_the_last(worker_id: int) -> None:
    pks = submit(500) + submit(40, key="a") + submit(3, "tests.fair", {"customer": "b"}) + submit(90, queue="low")
    worker, taken = claims(), []
    while batch := worker.batch(worker_id, 64):
        assert len(batch) <= 64
        taken += [task.id for task in batch]
    assert sorted(taken) == pks


# --- limits


@pytest.mark.django_db
def test_a_type_runs_no_more_than_its_limit_in_all_queues(worker_id: int) -> None:
    submit(20, "tests.limited")
    submit(20, "tests.limited", queue="low", key="acme")
    submit(2)
    taken = [task for _ in range(9) for task in claims().batch(worker_id, 50)]
    assert names_of(taken) == {"tests.limited": 3, "tests.noop": 2}
    lifecycle.release([task for task in taken if task.name == "tests.limited"][:2])
    assert len([task for _ in range(9) for task in claims().batch(worker_id, 50)]) == 2


@pytest.mark.django_db
def test_a_key_runs_no_more_than_its_limit_and_the_type_neither(worker_id: int) -> None:
    for customer in range(9):
        submit(3, "tests.per_key", {"customer": {"id": customer}})
    taken = [task for _ in range(9) for task in claims().batch(worker_id, 50)]
    assert len(taken) == 4
    assert set(keys_of(taken).values()) == {1}


@pytest.mark.django_db
def test_a_key_starts_no_more_than_its_rate(worker_id: int) -> None:
    for customer in "ab":
        submit(5, "tests.rated_key", {"customer": customer})
    submit(5, "tests.rated_key", {"customer": "c"}, queue="low")
    assert keys_of([task for _ in range(5) for task in claims().batch(worker_id, 50)]) == {"a": 1, "b": 1, "c": 1}
    run_sql("UPDATE lanes SET refilled_at = refilled_at - interval '61 min' WHERE lane = 'tests.rated_key:b'")
    assert keys_of([task for _ in range(5) for task in claims().batch(worker_id, 50)]) == {"b": 1}


@pytest.mark.django_db
def test_a_persons_limit_goes_before_the_codes_and_is_lifted(worker_id: int) -> None:
    submit(20, "tests.limited")
    services.limit_type("tests.limited", max_running=1)
    assert len([task for _ in range(9) for task in claims().batch(worker_id, 50)]) == 1
    services.limit_type("tests.limited", max_running=None, rate="1/h")
    assert len([task for _ in range(9) for task in claims().batch(worker_id, 50)]) == 1
    services.limit_type("tests.limited", rate=None)
    assert len([task for _ in range(9) for task in claims().batch(worker_id, 50)]) == 1
    assert services.task_type("tests.limited").limit.max_running == 3


@pytest.mark.django_db
def test_a_limit_holds_for_tasks_that_were_submitted_before_it(worker_id: int) -> None:
    submit(5)
    submit(5, key="acme")
    services.limit_type("tests.noop", max_running=2)
    others = submit(5, "tests.add", {"a": 1, "b": 1})
    taken = [task for _ in range(9) for task in claims().batch(worker_id, 50)]
    assert names_of(taken) == {"tests.add": 5, "tests.noop": 2}
    assert {task.id for task in taken} > set(others)
    assert set(Task.objects.filter(name="tests.noop").values_list("lane", flat=True)) == {
        "tests.noop:",
        "tests.noop:acme",
    }


@pytest.mark.django_db(transaction=True)
def test_limits_of_queue_type_and_key_hold_for_many_workers_at_once(
    in_thread: Callable[[Callable[[], object]], threading.Thread],
) -> None:
    for customer in range(30):
        submit(10, "tests.per_key", {"customer": {"id": customer}})
        submit(2, "tests.per_key", {"customer": {"id": customer}}, queue="low")
    submit(100, key="other")
    services.limit_queue("default", max_running=40)
    services.limit_type("tests.per_key", max_running=11)
    most: list[tuple[int, int, int]] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        worker, view = register_worker(conf.queues()), claims()
        barrier.wait(10)
        for _ in range(25):
            batch = view.batch(worker, 7)
            # One statement, so one moment.
            running = list(Task.objects.filter(state="running").values_list("queue", "name", "lane"))
            of_keys = Counter(lane for _, name, lane in running if name == "tests.per_key")
            in_queue = sum(queue == "default" for queue, *_ in running)
            most.append((in_queue, of_keys.total(), max(of_keys.values(), default=0)))
            lifecycle.release(batch[::2])

    threads = [in_thread(work) for _ in range(6)]
    for thread in threads:
        thread.join(60)
    assert len(most) == 150
    assert tuple(map(max, zip(*most, strict=True))) == (40, 11, 1)


@pytest.mark.django_db
def test_idle_buckets_are_forgotten(worker_id: int) -> None:
    submit(1, "tests.rated_key", {"customer": "a"})
    submit(1, "tests.rated_key", {"customer": "b"})
    assert len(claims().batch(worker_id, 50)) == 2
    run_sql("UPDATE lanes SET idle_at = now() - interval '1 s' WHERE lane = 'tests.rated_key:a'")
    prune()
    assert list(Lane.objects.values_list("pk", flat=True)) == ["tests.rated_key:b"]


# --- pauses


def test_a_paused_type_waits_and_the_others_go_on(station: Station) -> None:
    paused, others = submit(20) + submit(3, key="a"), submit(2, "tests.add", {"a": 1, "b": 2})
    services.pause_type("tests.noop")
    assert Claims(conf.queues()).waiting() == ["default"]
    station.serve(5, burst=True)
    assert set(Task.objects.filter(pk__in=paused).values_list("state", flat=True)) == {"queued"}
    assert set(Task.objects.filter(pk__in=others).values_list("state", flat=True)) == {"succeeded"}
    assert Claims(conf.queues()).waiting() == []
    services.resume_type("tests.noop")
    station.serve(5, burst=True)
    assert set(Task.objects.values_list("state", flat=True)) == {"succeeded"}


def test_a_pause_of_a_type_is_heard_while_it_is_worked_off(
    station: Station, in_thread: Callable[[Callable[[], object]], threading.Thread]
) -> None:
    submit(200, "tests.sleep", {"seconds": 0.01})

    def pause() -> None:
        time.sleep(0.4)
        services.pause_type("tests.sleep")

    thread = in_thread(pause)
    started = time.monotonic()
    station.serve(30, burst=True)
    thread.join(5)
    assert time.monotonic() - started < 1.4
    assert set(Task.objects.values_list("state", flat=True)) == {"queued", "succeeded"}


@pytest.mark.django_db
@pytest.mark.parametrize("planner_saw", ["nothing", "an emptied table", "all"])
def test_a_hundred_thousand_paused_tasks_at_the_head_are_passed_over(planner_saw: str, worker_id: int) -> None:
    line = "INSERT INTO tasks (name, queue) SELECT 'tests.noop', 'default' FROM generate_series(1, 100000)"
    if planner_saw == "an emptied table":
        run_sql(f"{line}; DELETE FROM tasks; ANALYZE tasks; {line}")
    else:
        run_sql(line if planner_saw == "nothing" else f"{line}; ANALYZE tasks")
    services.pause_type("tests.noop")
    (behind,) = submit(1, "tests.add", {"a": 1, "b": 2})
    worker, started = claims(), time.monotonic()
    assert [task.id for task in worker.batch(worker_id, 1)] == [behind]
    assert time.monotonic() - started < 2
    assert worker.batch(worker_id, 1) == []
    assert not Task.objects.filter(lane="", state="queued").exists()
    submit(1, "tests.add", {"a": 1, "b": 2})
    started = time.monotonic()
    assert len(worker.batch(worker_id, 1)) == 1
    assert time.monotonic() - started < 0.5


@pytest.mark.django_db
def test_a_thousand_lanes_of_a_paused_type_cost_one_look(worker_id: int) -> None:
    run_sql(
        "INSERT INTO tasks (name, queue, lane) SELECT 'tests.per_key', 'default', 'tests.per_key:' || n"
        " FROM generate_series(1, 1000) n"
    )
    services.pause_type("tests.per_key")
    (other,) = submit(1, key="zz")
    worker, seen = claims(), lifecycle.lanes("default", "", 200, ["tests.per_key"])
    assert len(seen) == 2
    assert [task.id for task in worker.batch(worker_id, 10)] == [other]
    assert worker.waiting() == []


@pytest.mark.django_db
def test_an_unused_type_of_a_former_version_can_still_be_resumed() -> None:
    TypePolicy.objects.create(name="gone.task")
    assert services.pause_type("gone.task").paused_at
    assert services.resume_type("gone.task").paused_at is None
    for verb in (services.pause_type, services.resume_type, services.limit_type):
        with pytest.raises(UnknownTask):
            verb("no.such")


@pytest.mark.django_db
def test_what_is_no_limit_of_a_type_is_refused() -> None:
    for wrong in (0, -1, True, 1.5, "3", 10**9):
        with pytest.raises(InvalidSubmission, match="max_running"):
            services.limit_type("tests.noop", max_running=wrong)  # type: ignore[arg-type]
    for wrong in ("", "10", "0/s", "9" * 40 + "/s", 5):
        with pytest.raises(InvalidSubmission, match="must look like"):
            services.limit_type("tests.noop", rate=wrong)  # type: ignore[arg-type]
    assert not TypePolicy.objects.exists()


# --- what people see


@pytest.mark.django_db
def test_the_reason_why_a_task_waits_is_said(worker_id: int) -> None:
    def reason(pk: int) -> str | None:
        return services.hold_reason(Task.objects.get(pk=pk))

    first, second = submit(2, "tests.per_key", {"customer": {"id": 7}})
    assert reason(second) is None
    assert [task.id for task in claims().batch(worker_id, 1)] == [first]
    assert reason(second) == "the key 7 has 1 of 1 running"
    services.limit_type("tests.per_key", max_running=1)
    assert reason(second) == "the type tests.per_key has 1 of 1 running"
    services.limit_queue("default", rate="1/h")
    run_sql("UPDATE queues SET refilled_at = now()")
    assert reason(second) == "the queue default has used up its rate of 1/h"
    services.pause_type("tests.per_key")
    assert reason(second) == "the type tests.per_key is paused"
    services.pause_queue("default")
    assert reason(second) == "the queue default is paused"


@pytest.mark.django_db
def test_types_are_counted_in_all_queues_and_lanes(worker_id: int) -> None:
    submit(3, "tests.limited")
    submit(2, queue="low")
    submit(2, key="a")
    claims().batch(worker_id, 1)
    counts = services.count_types(registry.names())
    shown = {name: (count.waiting, count.running) for name, count in counts.items() if count.waiting or count.running}
    assert sum(map(sum, shown.values())) == 7
    assert shown["tests.noop"][0] + shown["tests.noop"][1] == 4
    assert not any(count.more for count in counts.values())


@pytest.mark.django_db
def test_a_long_line_is_not_counted_to_its_end() -> None:
    run_sql("INSERT INTO tasks (name, queue) SELECT 'tests.noop', 'low' FROM generate_series(1, 10050)")
    count = services.count_types(["tests.noop"])["tests.noop"]
    assert (count.waiting, count.more) == (10001, True)


# --- the database


@pytest.fixture
def thirty_thousand(db: None) -> Iterator[None]:
    """Rows in 500 lanes, a fiftieth of them running, and statistics about them; those outlive a rollback."""
    run_sql(
        "INSERT INTO tasks (name, queue, lane, state, lease)"
        " SELECT 'tests.fair', 'default', ':c' || n % 500, CASE WHEN n % 50 = 0 THEN 'running' ELSE 'queued' END,"
        " CASE WHEN n % 50 = 0 THEN gen_random_uuid() END FROM generate_series(1, 30000) n"
    )
    run_sql("ANALYZE tasks")
    yield
    run_sql("DELETE FROM tasks")
    run_sql("ANALYZE tasks")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sql", "params", "index"),
    [
        (lifecycle.lanes.__globals__["_LANES"], ["default", ":c5", "default", ["x"], 50], "tasks_claim"),
        (lifecycle.rooms.__globals__["_RUNNING"], [["default", "low"], ["tests.fair"]], "tasks_running"),
    ],
)
def test_lanes_and_what_runs_are_found_by_an_index(
    sql: str, params: list[Any], index: str, thirty_thousand: None
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert index in plan
    assert "Seq Scan on tasks" not in plan


@pytest.mark.django_db
def test_the_claim_takes_a_share_of_each_lane_at_once(worker_id: int, thirty_thousand: None) -> None:
    spots = [lifecycle.Spot("default", f":c{n}", 3) for n in range(1, 50)]
    started = time.monotonic()
    batch = lifecycle.take(spots, 150, lifecycle.Taker(worker_id, uuid.uuid4(), ["tests.noop"]))
    assert keys_of(batch) == {f"c{n}": 3 for n in range(1, 50)}
    assert time.monotonic() - started < 0.5


def test_what_is_given_back_before_it_started_returns_what_it_took_of_a_rate(worker_id: int) -> None:
    Queue.objects.create(name="default", rate_count=3, rate_seconds=1)
    submit(3)
    batch = claims().batch(worker_id, 3)
    assert len(batch) == 3
    run_sql("UPDATE queues SET refilled_at = clock_timestamp()")
    assert claims().batch(worker_id, 1) == []
    lifecycle.release(batch[:2])
    run_sql("UPDATE queues SET refilled_at = clock_timestamp() - interval '1 ms'")
    assert len(claims().batch(worker_id, 3)) == 2


def test_what_is_given_back_returns_what_it_took_of_the_rate_of_its_key(worker_id: int) -> None:
    submit(2, "tests.rated_key", {"customer": "a"})
    first = claims().batch(worker_id, 2)
    assert (len(first), claims().batch(worker_id, 2)) == (1, [])
    lifecycle.release(first)
    assert len(claims().batch(worker_id, 2)) == 1
    assert claims().batch(worker_id, 2) == []


def test_another_payload_brings_the_task_into_its_own_lane(worker_id: int) -> None:
    waiting = services.submit("tests.per_key", {"customer": {"id": 1}}).id
    other = services.submit("tests.add", {"a": 1, "b": 2}, key="mine").id
    services.edit_task([waiting], payload={"customer": {"id": 2}})
    services.edit_task([other], payload={"a": 1, "b": 3})
    lanes = Task.objects.in_bulk()
    assert (lanes[waiting].lane, lanes[other].lane) == ("tests.per_key:2", ":mine")
    services.cancel([waiting])
    again = services.replay([waiting], payload={"customer": {"id": 3}})[waiting]
    assert Task.objects.get(pk=again).lane == "tests.per_key:3"
    with pytest.raises(InvalidSubmission, match="key: must be a text"):
        services.edit_task([again], payload={"customer": {"id": {}}})
