"""RQ as it comes: one job per task. Workers: `rq worker`, forking or (SimpleWorker) not."""

import os
import time
from collections.abc import Iterable

from redis import Redis
from rq import Queue

from tests.benchmarks.marks import mark

_redis = Redis.from_url(os.environ["REDIS_URL"])
_queue = Queue("default", connection=_redis)


def reset() -> None:
    _redis.flushdb()


def fill(n: int, seconds: float) -> None:
    _queue.enqueue_many([Queue.prepare_data(mark, (number, time.time(), seconds)) for number in range(n)])


def submit_each(numbers: Iterable[int]) -> None:
    for number in numbers:
        _queue.enqueue(mark, number, time.time())
