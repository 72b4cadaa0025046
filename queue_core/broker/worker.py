"""The RQ worker whose only jobs are drains."""

import contextlib
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from django_rq.workers import get_worker
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty


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
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call, unused-ignore]


def run_worker(queues: Sequence[str], *, name: str, on_stop: Callable[[], None], burst: bool = False) -> None:
    """Serve the queues until SIGTERM or SIGINT (or, with `burst`, until RQ has no drain waiting)."""
    worker_class: Any = DrainWorker  # django-rq's annotation names RQ's forking Worker only
    worker: Any = get_worker(*queues, worker_class=worker_class, name=name, serializer=JSONSerializer)
    worker.on_stop = on_stop
    worker.log_job_description = False
    with contextlib.suppress(SystemExit):
        worker.work(burst=burst, logging_level="WARNING")
