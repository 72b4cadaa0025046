"""Dramatiq on Valkey. Worker: `dramatiq --processes 2 --threads 8`."""

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.marks import mark

broker = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)
_mark = dramatiq.actor(mark)


def reset() -> None:
    broker.client.flushdb()


def fill(n: int, seconds: float) -> None:
    for number in range(n):
        _mark.send(number, time.time(), seconds)
