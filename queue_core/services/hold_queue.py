"""pause, resume and limit a queue: what its workers may take from it."""

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from queue_core import broker, conf
from queue_core.errors import UnknownQueue
from queue_core.models import Queue
from queue_core.services import audit
from queue_core.services.limits import KEPT, checked_limits


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
    name: str, *, max_running: int | None = KEPT, rate: str | None = KEPT, by: audit.Actor | None = None
) -> Queue:
    """Limit what runs at once and what may start in a time, over all workers; None lifts a limit.

    `rate` is `100/m` (s, m, h, d, or `5/10s`). Heard within a second. Raises InvalidSubmission or UnknownQueue.
    """
    values = checked_limits(max_running, rate)
    with transaction.atomic():
        queue = _locked(name)
        if any(getattr(queue, field) != value for field, value in values.items()):
            _hold(queue, **values)
            limits = f"{queue.max_running or 'any number'} at once, {queue.rate or 'any number'} in a time"
            audit.record(Queue, [name], f"Limited to {limits}.", by=by)
        transaction.on_commit(partial(broker.ring, name))
    return queue
