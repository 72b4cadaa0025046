import datetime
import functools
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from queue_core import conf, registry
from queue_core.claims import Claims
from queue_core.errors import Discard
from queue_core.lifecycle import Claimed
from queue_core.models import Task, Worker
from queue_core.services.last_error import last_error
from queue_core.services.pull_finish import PulledFailure, pull_fail
from queue_core.services.pull_register import held_by, pull_extend, pull_lock
from queue_core.services.step_payload import step_payload
from queue_core.states import Desire


@dataclass(frozen=True, slots=True)
class Handed:
    """A task as a worker elsewhere is given it; at its `deadline` it is taken away and has failed."""

    task: Claimed
    payload: dict[str, Any]
    timeout: float
    deadline: datetime.datetime


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a claim got, what the worker is desired to do, and the queues it serves."""

    tasks: list[Handed]
    desired: str
    queues: list[str]


def pull_claim(worker_id: int, *, limit: int) -> Pulled:
    """Take up to `limit` tasks for a worker elsewhere, no more than its capacity has room for. Counts as a heartbeat.

    A paused or leaving worker gets none. Raises Worker.DoesNotExist or NotPulling.
    """
    with transaction.atomic():
        worker = pull_lock(worker_id)
        room = min(limit, worker.capacity - held_by(worker).count())
        may_take = worker.desired == Desire.RUN and room > 0
        pull_extend(worker)
        batch = _take(worker, room) if may_take else []
        if batch:
            pull_extend(worker)  # which names what it runs
        started: dict[int, Any] = dict(
            Task.objects.filter(pk__in=[task.id for task in batch]).values_list("pk", "started_at")
        )
        handed = [_handed(task, started[task.id]) for task in batch]
    return Pulled([one for one in handed if one], worker.desired, worker.queues)


@functools.lru_cache(maxsize=1024)
def _view_of(worker_id: int, queues: tuple[str, ...]) -> Claims:
    """Kept from claim to claim: it knows which keys are next. The lock on the worker's row guards it."""
    return Claims(list(queues))


def _take(worker: Worker, room: int) -> list[Claimed]:
    view = _view_of(worker.pk, tuple(worker.queues))
    view.look()
    return view.batch(worker.pk, room)


def _handed(task: Claimed, started_at: datetime.datetime) -> Handed | None:
    """None: it has failed, being too late, or because the results of earlier steps are not what it takes."""
    known = registry.find(task.name)
    if known and known.is_too_late(task.age, task.due_age):
        pull_fail(task.id, task.lease, PulledFailure(*(last_error(task.id) or ["not started"])))
        return None
    timeout = known.timeout if known else conf.get("TIMEOUT_SECONDS")
    try:
        payload = step_payload(task.name, task.payload, task.workflow_id)
    except Discard as exc:
        pull_fail(task.id, task.lease, PulledFailure(str(exc), "Discard", retry=False))
        return None
    return Handed(task, payload, timeout, started_at + datetime.timedelta(seconds=timeout))
