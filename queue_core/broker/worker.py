"""The RQ worker whose only jobs are drains."""

import logging
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import redis
from django_rq.workers import get_worker
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty

logger = logging.getLogger(__name__)


class NoPenalty(BaseDeathPenalty):  # type: ignore[no-untyped-call, misc, unused-ignore]
    """RQ times nothing here: the alarm signal belongs to the tasks inside a drain (execution.py)."""

    def setup_death_penalty(self) -> None:
        pass

    def cancel_death_penalty(self) -> None:
        pass


class DrainWorker(SimpleWorker):
    """Runs drains in its own process: no fork and no import per job."""

    death_penalty_class = NoPenalty
    # RQ backs off up to a minute when Valkey is away; work must go on within seconds after it is back.
    max_connection_wait_time = 2.0
    on_stop: Callable[[], None] | None = None

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        # Told at once, whatever RQ is doing: a drain may be lingering.
        if self.on_stop:
            self.on_stop()
        try:
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call, unused-ignore]
        except redis.RedisError:
            # RQ wants to write the time down; with Valkey away that must not end up as an error of the running task.
            self._stop_requested = True


def run_worker(queues: Sequence[str], *, name: str, on_stop: Callable[[], None]) -> None:
    """Serve the queues until SIGTERM or SIGINT, or until RQ gives up because Valkey is away."""
    worker_class: Any = DrainWorker  # django-rq's annotation names RQ's forking Worker only
    worker: Any = get_worker(*queues, worker_class=worker_class, name=name, serializer=JSONSerializer)
    worker.on_stop = on_stop
    worker.log_job_description = False
    try:
        worker.work(logging_level="WARNING")
    except SystemExit:
        logger.warning("stopped at once")
    except redis.RedisError as exc:
        logger.warning("Valkey does not answer: %s", exc)
