"""The clock on rq-scheduler: one periodic job, the tick, run inside the scheduler's own process.

rq-scheduler 0.14 would put the job into a queue, where it waits for a worker and may run twice at once; it forgets a
periodic job after a Redis error between two of its calls; and it ends when Redis does. So the tick is run in place,
registered again whenever it is missing, and a lost connection is waited out.
"""

import logging
import signal
import time
from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings
from rq_scheduler import Scheduler

logger = logging.getLogger(__name__)

TICK_ID = "posthaste-tick"


class TickScheduler(Scheduler):  # type: ignore[misc, no-any-unimported, unused-ignore]
    """`tick` is called about once a second by whichever scheduler holds rq-scheduler's lock."""

    def __init__(self, tick: Callable[[], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tick = tick
        self.stopping = False

    def _install_signal_handlers(self) -> None:
        def stop(*_: Any) -> None:
            self.stopping = True

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)

    def register_tick(self) -> None:
        """Put the periodic tick where rq-scheduler looks for it, due now."""
        self.connection.zadd(self.scheduled_jobs_key, {TICK_ID: 0}, nx=True)

    def enqueue_jobs(self) -> None:
        """One pass: run the tick if its time has come and move it on; other jobs are not ours to lose, and stay."""
        now = time.time()
        self.register_tick()
        due = self.connection.zscore(self.scheduled_jobs_key, TICK_ID)
        if due is not None and due <= now:
            self.tick()
            self.connection.zadd(self.scheduled_jobs_key, {TICK_ID: now + self._interval})

    def run(self, burst: bool = False) -> None:
        self._install_signal_handlers()
        born = False
        while not self.stopping:
            started = time.monotonic()
            try:
                if not born:
                    self.register_birth()
                    born = True
                self.heartbeat()
                if self.acquire_lock():
                    try:
                        self.enqueue_jobs()
                    finally:
                        self.remove_lock()
            except redis.RedisError as exc:
                logger.warning("Valkey does not answer (%s); ticking without it", exc)
                self.tick()
            if burst:
                break
            time.sleep(max(0.05, self._interval - (time.monotonic() - started)))
        if born:
            self.leave()

    def leave(self) -> None:
        try:
            self.remove_lock()
            self.register_death()
        except redis.RedisError:
            logger.info("Valkey is away; its record of this scheduler expires by itself")


def run_scheduler(tick: Callable[[], Any], *, interval: float = 1.0, burst: bool = False) -> None:
    """Tick until SIGTERM or SIGINT. Any number of hosts may run one; the tick itself takes an advisory lock."""
    connection = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=1)
    TickScheduler(tick, connection=connection, interval=interval).run(burst=burst)
