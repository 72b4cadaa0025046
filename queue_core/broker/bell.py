"""ring(queue) wakes a worker; wait(queues) is how a worker that found nothing lingers.

A ring does two things. It leaves one token in the queue's bell list, which a lingering worker takes within a
millisecond. And, when no RQ job waits in that queue, it puts one there, which starts a drain in a worker that is in
RQ's own loop. Tokens and jobs never pile up: there is at most one of each per queue (two when two ring at once).
"""

import functools
import logging
import time
from typing import Any

import django_rq
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

logger = logging.getLogger(__name__)

DRAIN = "queue_core.drain.drain"
_PREFIX = "posthaste:bell:"
# After a failed ring, submissions do not try again for so long: with Valkey away they must not each wait for a timeout.
_MUTE_SECONDS = 1.0
_RING_SECONDS = 0.25
_muted_until = 0.0

_RING = """
if redis.call('LLEN', KEYS[1]) == 0 then redis.call('RPUSH', KEYS[1], '1') end
return redis.call('LLEN', KEYS[2])
"""


class BrokerDown(Exception):
    """Valkey does not answer. Work goes on from PostgreSQL alone, a little slower."""


@functools.cache
def _connection() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=1)


@functools.cache
def _ringing() -> "redis.Redis":
    """For rings: whoever submits waits no longer than this for a Valkey that hangs; a dropped connection is renewed."""
    once = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_RING_SECONDS, socket_connect_timeout=_RING_SECONDS, retry=once
    )


@functools.cache
def _ring_script() -> Script:
    return _ringing().register_script(_RING)


@functools.cache
def _rq_queue(name: str) -> Any:
    # django-rq builds a client per call, which costs more than the ring itself.
    return django_rq.get_queue(name, connection=_ringing())


def ring(queue: str) -> bool:
    """Wake a worker for `queue`. Never raises: a bell that is lost (False) is rung again by the next tick."""
    global _muted_until
    if time.monotonic() < _muted_until:
        return False
    try:
        rq_queue = _rq_queue(queue)
        if _ring_script()(keys=[_PREFIX + queue, rq_queue.key]) == 0:
            rq_queue.enqueue(DRAIN, queue, job_timeout=-1, result_ttl=0, failure_ttl=3600, description=f"drain {queue}")
    except redis.RedisError as exc:
        _muted_until = time.monotonic() + _MUTE_SECONDS
        logger.warning("Valkey did not take the bell for %s (%s); the next tick rings again", queue, exc)
        return False
    return True


def wait(queues: list[str], seconds: float) -> bool:
    """Wait for a ring of any of the queues. True: rung. Raises BrokerDown."""
    try:
        return _connection().blpop([_PREFIX + queue for queue in queues], timeout=seconds) is not None
    except redis.RedisError as exc:
        raise BrokerDown(str(exc)) from exc


def ping() -> None:
    """Raise BrokerDown unless Valkey answers."""
    try:
        _connection().ping()
    except redis.RedisError as exc:
        raise BrokerDown(str(exc)) from exc
