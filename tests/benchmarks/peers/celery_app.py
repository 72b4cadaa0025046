"""Celery on Valkey, results off. Worker: `celery worker --pool prefork --concurrency 2`."""

import os
import time

from celery import Celery
from redis import Redis

from tests.benchmarks.marks import mark

app = Celery("bench", broker=os.environ["REDIS_URL"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
_mark = app.task(name="mark")(mark)


def reset() -> None:
    Redis.from_url(os.environ["REDIS_URL"]).flushdb()


def fill(n: int, seconds: float) -> None:
    for number in range(n):
        _mark.delay(number, time.time(), seconds)
