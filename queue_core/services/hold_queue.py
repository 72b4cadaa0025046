"""pause, resume and limit a queue: what its workers may take from it."""

import re
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from queue_core import broker, conf
from queue_core.errors import InvalidSubmission, UnknownQueue
from queue_core.models import Queue
from queue_core.services import audit

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


def _locked(name: str) -> Queue:
    if name not in conf.queues():
        raise UnknownQueue(name, conf.queues())
    return Queue.objects.select_for_update().get_or_create(name=name)[0]


def _hold(queue: Queue, **values: Any) -> None:
    Queue.objects.filter(pk=queue.pk).update(**values)
    queue.refresh_from_db()


def pause_queue(name: str, *, by: audit.Actor | None = None) -> Queue:
    """Start no more tasks of this queue, from within a second on; what runs goes on. Safe to repeat."""
    with transaction.atomic():
        queue = _locked(name)
        if queue.paused_at is None:
            _hold(queue, paused_at=Now())
            audit.record(Queue, [name], "Paused.", by=by)
    return queue


def resume_queue(name: str, *, by: audit.Actor | None = None) -> Queue:
    """Let a paused queue go on, at once. Safe to repeat."""
    with transaction.atomic():
        queue = _locked(name)
        if queue.paused_at is not None:
            _hold(queue, paused_at=None)
            audit.record(Queue, [name], "Resumed.", by=by)
        transaction.on_commit(partial(broker.ring, name))
    return queue


def limit_queue(
    name: str, *, max_running: int | None = _KEPT, rate: str | None = _KEPT, by: audit.Actor | None = None
) -> Queue:
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
        queue = _locked(name)
        if any(getattr(queue, field) != value for field, value in values.items()):
            _hold(queue, **values)
            limits = f"{queue.max_running or 'any number'} at once, {queue.rate or 'any number'} in a time"
            audit.record(Queue, [name], f"Limited to {limits}.", by=by)
        transaction.on_commit(partial(broker.ring, name))
    return queue
