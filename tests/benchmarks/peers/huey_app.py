"""Huey on Valkey. Worker: `huey_consumer --workers 2 --worker-type process`."""

import os
import time

from huey import RedisHuey

from tests.benchmarks.marks import mark

huey = RedisHuey("bench", url=os.environ["REDIS_URL"])
_mark = huey.task()(mark)


def reset() -> None:
    huey.storage.conn.flushdb()


def fill(n: int, seconds: float) -> None:
    for number in range(n):
        _mark(number, time.time(), seconds)
