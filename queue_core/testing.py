"""For the tests of apps that submit tasks: run what is due, ask what was submitted, let time pass, stop the clock.

Works inside a test's transaction (Django's TestCase, pytest's `db`), in the test's own process and connection; no
worker, no Valkey is needed.
"""

import datetime
import signal
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from psycopg.pq import TransactionStatus

from queue_core import conf, execution, lifecycle
from queue_core.lanes import after, type_in
from queue_core.lifecycle import Claimed, Spot, Taker
from queue_core.models import Task
from queue_core.services.fire_schedules import fire_schedules
from queue_core.services.register_worker import register_worker
from queue_core.services.settle import settle

_RUNS_AT_MOST = 10_000
_LANES_AT_ONCE = 100
_SCHEMA, _FROZEN_AT = "posthaste_frozen", "posthaste.frozen_at"
_CLOCKS = ("now", "clock_timestamp", "statement_timestamp", "transaction_timestamp")
_FREEZE = f"CREATE SCHEMA {_SCHEMA};" + "".join(
    f"CREATE FUNCTION {_SCHEMA}.{name}() RETURNS timestamptz LANGUAGE sql STABLE"
    f" RETURN pg_catalog.current_setting('{_FROZEN_AT}')::timestamptz;"
    for name in _CLOCKS
)


@contextmanager
def _alarm() -> Iterator[execution.SignalAlarm]:
    before = signal.getsignal(signal.SIGALRM)
    alarm = execution.SignalAlarm()
    alarm.install()
    try:
        yield alarm
    finally:
        signal.signal(signal.SIGALRM, before)


def drain(*queues: str) -> list[Task]:
    """Run every due task of the queues (all by default), and those they submit; answers the tasks as they ended.

    A failing task does not raise here: look at its `state` and `error`. A retry waits; see `advance`. What is paused
    stays; limits and rates are not kept here, so that a test never has to wait. Inside the test's transaction all that
    a task wrote is undone when it leaves the transaction broken, such as by an error of SQL outside `atomic`.
    """
    worker_id = register_worker(conf.queues())
    ran: list[int] = []
    with _alarm() as alarm:
        runner = execution.Runner(alarm, time.monotonic)
        while task := _next(queues or conf.queues(), worker_id):
            run = execution.Run(task)
            with _harmless():
                ended = runner.run(run)
            run.notes.write()
            lifecycle.finish([ended])
            settle()
            ran.append(task.id)
            if len(ran) > _RUNS_AT_MOST:
                raise AssertionError(f"{_RUNS_AT_MOST} tasks ran and there are more: does one submit itself for ever?")
    found = Task.objects.in_bulk(ran)
    return [found[pk] for pk in dict.fromkeys(ran)]


@contextmanager
def _harmless() -> Iterator[None]:
    """Around a task inside a test's transaction: if it leaves that broken, or blocks open in it, its writes are undone.

    A worker would close the connection.
    """
    mark = transaction.savepoint()
    blocks, inner, hooks = [*connection.atomic_blocks], [*connection.savepoint_ids], len(connection.run_on_commit)
    yield
    if mark is None or connection.closed_in_transaction:
        return
    _end_query()
    is_whole = connection.connection.info.transaction_status == TransactionStatus.INTRANS
    if is_whole and not connection.needs_rollback and connection.savepoint_ids == inner:
        transaction.savepoint_commit(mark)
        return
    connection.atomic_blocks, connection.savepoint_ids, connection.needs_rollback = blocks, inner, False
    del connection.run_on_commit[hooks:]
    transaction.savepoint_rollback(mark)


def _end_query() -> None:
    """A timeout may come in the middle of a query, which PostgreSQL goes on with."""
    raw = connection.connection
    if raw.info.transaction_status == TransactionStatus.ACTIVE:
        raw.cancel_safe()
        while raw.pgconn.get_result():
            pass


def _next(queues: Sequence[str], worker_id: int) -> Claimed | None:
    """The next task that is due and not paused."""
    paused = [name for name, gate in lifecycle.type_gates().items() if gate.paused]
    for queue in [name for name, gate in lifecycle.queue_gates(queues).items() if not gate.paused]:
        start: str | None = ""
        while start is not None:
            lanes = lifecycle.lanes(queue, start, _LANES_AT_ONCE, paused)
            spots = [Spot(queue, lane, 1) for lane in lanes if type_in(lane) not in paused]
            if spots and (batch := lifecycle.take(spots, 1, Taker(worker_id, uuid.uuid4(), paused))):
                return batch[0]
            start = after(lanes[-1]) if len(lanes) == _LANES_AT_ONCE else None
    return None


def submitted(name: str, payload: Mapping[str, Any] | None = None) -> list[Task]:
    """Tasks of that name that wait or run; with `payload` only those whose payload has at least these values."""
    found = Task.objects.live().filter(name=name).order_by("pk")
    return list(found if payload is None else found.filter(payload__contains=dict(payload)))


def assert_submitted(name: str, payload: Mapping[str, Any] | None = None, *, count: int = 1) -> list[Task]:
    """Fail unless exactly `count` such tasks wait or run; answers them."""
    found = submitted(name, payload)
    if len(found) != count:
        others = [f"{task.name} {task.payload}" for task in Task.objects.live().order_by("-pk")[:10]]
        wanted = name if payload is None else f"{name} with {dict(payload)}"
        raise AssertionError(f"{len(found)} tasks {wanted} were submitted, not {count}. The latest: {others}")
    return found


def advance(seconds: float) -> None:
    """Let time pass for the queue: delayed, retrying and expiring tasks come so much nearer to their times."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tasks SET run_at = run_at - late.by, expires_at = expires_at - late.by,"
            " created_at = created_at - late.by FROM (SELECT make_interval(secs => %s)) AS late(by)"
            " WHERE state IN ('blocked', 'queued')",
            [seconds],
        )
    _catch_up()


def _catch_up() -> None:
    """What the scheduler would have done by now."""
    lifecycle.expire(_RUNS_AT_MOST)
    settle()
    lifecycle.unpark(_RUNS_AT_MOST)


class Clock:
    """PostgreSQL's clock as this connection reads it: it stands still until it is moved."""

    def move_to(self, at: datetime.datetime) -> None:
        """`at` is aware. Tasks come due and expire, and schedules fire, as if the time between had passed."""
        if not isinstance(at, datetime.datetime) or at.tzinfo is None:
            raise ValueError(f"Give an aware datetime, not {at!r}.")
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, %s, false)", [_FROZEN_AT, at.isoformat()])
        _catch_up()
        fire_schedules(_RUNS_AT_MOST)

    def advance(self, seconds: float) -> None:
        self.move_to(self.now() + datetime.timedelta(seconds=seconds))

    def now(self) -> datetime.datetime:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            now: datetime.datetime = cursor.fetchone()[0]
        return now


@contextmanager
def frozen(at: datetime.datetime) -> Iterator[Clock]:
    """Stop the queue's clock at an aware datetime, for this connection: what is submitted, due and fired goes by it.

    Python's own clock goes on (stop that with a library such as time-machine).
    """
    with connection.cursor() as cursor:
        cursor.execute("SHOW search_path")
        path = cursor.fetchone()[0]
        cursor.execute(_FREEZE)
        # Functions of PostgreSQL's own come last only where they are named last.
        cursor.execute(f"SET search_path = {_SCHEMA}, {path}, pg_catalog")
    clock = Clock()
    try:
        clock.move_to(at)
        yield clock
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path = {path}")
            cursor.execute(f"DROP SCHEMA {_SCHEMA} CASCADE")
