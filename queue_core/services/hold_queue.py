"""pause, resume and limit a queue: what its workers may take from it."""

import re
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from queue_core import broker, conf
from queue_core.errors import InvalidSubmission, UnknownQueue
from queue_core.models import Queue

_RATE = re.compile(r"(\d{1,9})/(\d{0,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_KEPT: Any = object()


def parse_rate(text: str) -> tuple[int, int]:
    """`100/m` -> (100, 60); `5/10s` -> (5, 10). Raises InvalidSubmission."""
    match = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match:
        count, seconds = int(match[1]), int(match[2] or 1) * _SECONDS[match[3]]
        if count and 0 < seconds <= 366 * 86_400:
            return count, seconds
    raise InvalidSubmission("rate", f"must look like 100/m, 5/10s, 2000/h or 1/d, not {text!r}")


def _held(name: str, **values: Any) -> Queue:
    if name not in conf.queues():
        raise UnknownQueue(name, conf.queues())
    return Queue.objects.update_or_create(name=name, defaults=values)[0]


def pause_queue(name: str) -> Queue:
    """Start no more tasks of this queue, from within a second on; what runs goes on. Safe to repeat."""
    return _held(name, paused_at=Now())


def resume_queue(name: str) -> Queue:
    """Let a paused queue go on, at once. Safe to repeat."""
    with transaction.atomic():
        queue = _held(name, paused_at=None)
        transaction.on_commit(partial(broker.ring, name))
    return queue


def limit_queue(name: str, *, max_running: int | None = _KEPT, rate: str | None = _KEPT) -> Queue:
    """Limit what runs at once and what may start in a time, over all workers; None lifts a limit.

    `rate` is `100/m` (s, m, h, d, or `5/10s`). Heard within a second. Raises InvalidSubmission or UnknownQueue.
    """
    values: dict[str, Any] = {}
    if max_running is not _KEPT:
        whole = isinstance(max_running, int) and not isinstance(max_running, bool)
        if max_running is not None and not (whole and 1 <= max_running <= 1_000_000):
            raise InvalidSubmission("max_running", "must be a whole number from 1 to 1 000 000, or nothing")
        values["max_running"] = max_running
    if rate is not _KEPT:
        count, seconds = (None, None) if rate is None else parse_rate(rate)
        values |= {"rate_count": count, "rate_seconds": seconds}
    with transaction.atomic():
        queue = _held(name, **values)
        transaction.on_commit(partial(broker.ring, name))
    return queue
