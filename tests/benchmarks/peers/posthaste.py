"""Ours: the shipped path. Submission by the services, work by `manage.py worker --processes 2`, ledger rows written.

BENCH_TASK names the task that is submitted; with BENCH_LIMIT its queue has limits, so high that nothing waits for them.
"""

import os
import statistics
import time
from collections.abc import Iterable

import django
from django.core.management import call_command
from django.db import connection

django.setup()

import tests.benchmarks.tasks  # noqa: E402, F401
from queue_core import lifecycle  # noqa: E402
from queue_core.lifecycle import Ended  # noqa: E402
from queue_core.services import limit_queue  # noqa: E402
from queue_core.services.register_worker import register_worker  # noqa: E402
from queue_core.services.submit import build, submit, submit_many  # noqa: E402

_TASK = os.environ.get("BENCH_TASK", "tests.benchmarks.mark")
_TABLES = "tasks, task_executions, task_results, workers, queues"
_CLAIMED = 100
_UNFINISHED = "SELECT count(*) FROM tasks WHERE state <> 'succeeded'"
_LEDGER = "SELECT count(*) FROM task_executions WHERE outcome = 'succeeded'"
_HISTORY = """
WITH task AS (
    INSERT INTO tasks (name, queue, payload, state, attempt, worker_id, run_at, created_at, started_at, finished_at)
    SELECT %s, 'default', jsonb_build_object('number', i, 'sent', 0, 'seconds', 0), 'succeeded', 1, 1, t, t, t, t
    FROM generate_series(1, %s) AS i, LATERAL (SELECT now() - make_interval(secs => i)) AS past(t)
    RETURNING id, started_at
)
INSERT INTO task_executions (task_id, attempt, worker_id, outcome, started_at, finished_at)
SELECT id, 1, 1, 'succeeded', started_at, started_at + interval '1 ms' FROM task
"""
_LINE = """
INSERT INTO tasks (name, queue, payload)
SELECT %s, 'default', jsonb_build_object('number', i - 1, 'sent', 0, 'seconds', 0) FROM generate_series(1, %s) AS i
"""
_MEMORY = "SELECT coalesce(max(memory_mib), 0) FROM workers WHERE state = 'online'"


def reset() -> None:
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {_TABLES}")
    if os.environ.get("BENCH_LIMIT"):
        limit_queue("default", max_running=1_000_000, rate="100000000/s")


def history(n: int) -> None:
    """Put n finished tasks with their execution rows into the tables."""
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY, [_TASK, n])


def line(n: int) -> None:
    """Put n tasks in line, past the services: to have very many."""
    with connection.cursor() as cursor:
        cursor.execute(_LINE, [_TASK, n])


def memory() -> float:
    """MiB of the largest worker process, as of its last heartbeat."""
    return _one(_MEMORY)


def claims(n: int) -> float:
    """The 99th percentile of the time of n claims of 100 tasks, as a multiple of their median."""
    line(n * _CLAIMED)
    worker_id, times = register_worker(["default"]), []
    for _ in range(n):
        started = time.perf_counter()
        claimed = lifecycle.claim(["default"], worker_id, _CLAIMED)
        times.append(time.perf_counter() - started)
        lifecycle.finish([Ended(task, "succeeded", "succeeded", 0.0, 0.001) for task in claimed])
    return sorted(times)[n * 99 // 100] / statistics.median(times)


def _payload(number: int, seconds: float = 0.0) -> dict[str, float]:
    return {"number": number, "sent": time.time(), "seconds": seconds}


def fill(n: int, seconds: float) -> None:
    submit_many([build(_TASK, _payload(number, seconds)) for number in range(n)])


def submit_each(numbers: Iterable[int]) -> None:
    for number in numbers:
        submit(_TASK, _payload(number))


def settled(n: int) -> float:
    """When the last outcome was written, by PostgreSQL's clock; waits for it, and checks the ledger on the way."""
    deadline = time.monotonic() + 30
    while _one(_UNFINISHED):
        if time.monotonic() > deadline:
            raise SystemExit("Some tasks were run but their outcomes were not written within 30 s.")
        time.sleep(0.05)
    tasks, executions = _one("SELECT count(*) FROM tasks"), _one(_LEDGER)
    if tasks != executions or tasks < n:
        raise SystemExit(f"{tasks:g} tasks, {executions:g} execution rows, {n} submitted: these should agree.")
    return _one("SELECT extract(epoch FROM max(finished_at)) FROM tasks")


def _one(sql: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return float(cursor.fetchone()[0])
