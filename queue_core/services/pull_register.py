"""A worker of the pull protocol comes, beats and goes."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import connection, transaction

from queue_core import broker, conf, lifecycle
from queue_core.errors import InvalidSubmission, QueueError
from queue_core.models import Task, Worker
from queue_core.querysets import TaskQuerySet
from queue_core.services.beat import acknowledge
from queue_core.states import TaskState, WorkerKind, WorkerState

CAPACITIES = range(1, 1001)
# Tasks a worker was given but does not name in its heartbeat are given back when they are older than this: the answer
# to its claim was lost on the way.
_UNHELD_SECONDS = 10.0

_REGISTER = """
INSERT INTO workers (name, hostname, pid, queues, capacity, kind, lease_until)
VALUES (%s, %s, 0, %s, %s, 'pull', now() + make_interval(secs => %s)) RETURNING id
"""
_EXTEND = """
UPDATE workers SET heartbeat_at = now(), lease_until = now() + make_interval(secs => %s),
    current_task = (SELECT min(id) FROM tasks WHERE queue = ANY(workers.queues) AND state = 'running'
                    AND worker_id = workers.id)
WHERE id = %s RETURNING lease_until
"""
_GO = "UPDATE workers SET state = 'stopped', lease_until = now(), current_task = NULL WHERE id = %s"


class NotPulling(QueueError):
    """The worker is a process of ours, or it has ended, or its lease ran out."""

    def __init__(self, worker: Worker) -> None:
        self.state = worker.state
        if worker.kind != WorkerKind.PULL:
            text = f"Worker {worker.pk} is a process of `manage.py worker`: drain or stop it."
        else:
            text = f"Worker {worker.pk} is {worker.state}, and its tasks were given back: register again."
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a worker is told at its heartbeat: `cancel` are the ids of tasks that it is to end."""

    desired: str
    lease_until: datetime.datetime
    cancel: list[int]


def pull_register(*, name: str, hostname: str, queues: Sequence[str], capacity: int = 1) -> Worker:
    """Write the row of a worker elsewhere; it holds its tasks as long as it is heard of every PULL_LEASE_SECONDS.

    Raises InvalidSubmission for a queue that is not of external tasks.
    """
    asked, external = list(dict.fromkeys(queues)), conf.external_queues()
    if wrong := [queue for queue in asked if queue not in external]:
        there_are = f"there are {', '.join(external)}" if external else "QUEUE_EXTERNAL_TASKS has none yet"
        raise InvalidSubmission("queues", f"{', '.join(wrong)[:200]}: not a queue of external tasks; {there_are}")
    if not asked:
        raise InvalidSubmission("queues", "name at least one")
    if capacity not in CAPACITIES:
        raise InvalidSubmission("capacity", f"must be a whole number from {CAPACITIES[0]} to {CAPACITIES[-1]}")
    with connection.cursor() as cursor:
        cursor.execute(_REGISTER, [name, hostname, asked, capacity, conf.get("PULL_LEASE_SECONDS")])
        return Worker.objects.get(pk=cursor.fetchone()[0])


def pull_lock(worker_id: int) -> Worker:
    """The row of a worker that pulls, locked in the caller's transaction. Raises Worker.DoesNotExist or NotPulling."""
    worker = Worker.objects.select_for_update().get(pk=worker_id)
    if worker.kind != WorkerKind.PULL or worker.state != WorkerState.ONLINE:
        raise NotPulling(worker)
    return worker


def pull_extend(worker: Worker) -> datetime.datetime:
    """Have a worker, locked by the caller, hold its tasks for another PULL_LEASE_SECONDS, and know what is desired."""
    acknowledge(worker.pk, worker.desired)
    with connection.cursor() as cursor:
        cursor.execute(_EXTEND, [conf.get("PULL_LEASE_SECONDS"), worker.pk])
        lease_until: datetime.datetime = cursor.fetchone()[0]
    return lease_until


def pull_beat(worker_id: int, *, holds: Sequence[int] | None = None) -> Heard:
    """A worker says that it is alive and, with `holds`, which tasks it knows of; others are given back.

    Raises Worker.DoesNotExist or NotPulling.
    """
    with transaction.atomic():
        worker = pull_lock(worker_id)
        if holds is not None and lifecycle.release_unheld(worker.pk, holds, _UNHELD_SECONDS):
            _ring(worker)
        asked = held_by(worker).filter(cancel_requested_at__isnull=False).values_list("pk", flat=True)
        return Heard(worker.desired, pull_extend(worker), sorted(asked))


def pull_deregister(worker_id: int) -> int:
    """A worker ends; what it holds goes back in line, no attempt used. Answers how many. Raises as `pull_beat`."""
    with transaction.atomic():
        worker = pull_lock(worker_id)
        given = lifecycle.release_unheld(worker.pk, [], -1.0)
        with connection.cursor() as cursor:
            cursor.execute(_GO, [worker.pk])
        _ring(worker)
    return len(given)


def held_by(worker: Worker) -> TaskQuerySet:
    """The tasks a worker that pulls holds."""
    return Task.objects.filter(queue__in=worker.queues, state=TaskState.RUNNING, worker=worker)


def _ring(worker: Worker) -> None:
    for queue in worker.queues:
        transaction.on_commit(partial(broker.ring, queue))
