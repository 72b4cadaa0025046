"""What people write: one Celery task per mail that renders it and calls `send()`. Two prefork processes."""

import os
import time
from pathlib import Path

from celery import Celery
from redis import Redis

from tests.benchmarks import marks
from tests.benchmarks.peers.mail_django import message

app = Celery("bench", broker=os.environ["REDIS_URL"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True


@app.task(name="send")
def _send(number: int, sent: float) -> None:
    message(number).send()
    marks.mark(number, sent)


def reset() -> None:
    Redis.from_url(os.environ["REDIS_URL"]).flushdb()


def fill(n: int, seconds: float) -> None:
    """Tasks are submitted while others run."""


def send(n: int) -> float:
    while not app.control.ping(timeout=1.0):
        time.sleep(0.1)
    path = Path(os.environ["BENCH_MARKS"])
    started = time.perf_counter()
    for number in range(n):
        _send.delay(number, time.time())
    while marks.count(path) < n:
        time.sleep(0.02)
    return time.perf_counter() - started
