"""For the tests of apps that submit tasks: run what is due, ask what was submitted, let time pass.

Works inside a test's transaction (Django's TestCase, pytest's `db`), in the test's own process and connection; no
worker, no Valkey is needed.
"""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection

from queue_core import conf, execution, lifecycle
from queue_core.models import Task
from queue_core.services.register_worker import register_worker
from queue_core.services.settle import settle

_RUNS_AT_MOST = 10_000


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

    A failing task does not raise here: look at its `state` and `error`. A retry waits; see `advance`.
    """
    worker_id = register_worker(conf.queues())
    ran: list[int] = []
    with _alarm() as alarm:
        runner = execution.Runner(alarm, lambda: 0.0)
        while batch := lifecycle.claim(queues or conf.queues(), worker_id, 1):
            ended = runner.run(execution.Run(batch[0]))
            lifecycle.finish([ended])
            settle()
            ran.append(batch[0].id)
            if len(ran) > _RUNS_AT_MOST:
                raise AssertionError(f"{_RUNS_AT_MOST} tasks ran and there are more: does one submit itself for ever?")
    found = Task.objects.in_bulk(ran)
    return [found[pk] for pk in dict.fromkeys(ran)]


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
            "UPDATE tasks SET run_at = run_at - make_interval(secs => %s),"
            " expires_at = expires_at - make_interval(secs => %s)"
            " WHERE state IN ('blocked', 'queued')",
            [seconds, seconds],
        )
    lifecycle.expire(_RUNS_AT_MOST)
    settle()
    lifecycle.unpark(_RUNS_AT_MOST)
