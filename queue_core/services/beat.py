from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from queue_core import conf
from queue_core.models import Task, Worker

_BEAT = """
UPDATE workers SET heartbeat_at = now(), lease_until = now() + make_interval(secs => %s),
    finished_tasks = %s, succeeded_tasks = %s, failed_tasks = %s, memory_mib = %s, cpu_percent = %s, current_task = %s
WHERE id = %s AND state = 'online' AND lease_until > now()
"""
_SIGN_OFF = (
    "UPDATE workers SET state = 'stopped', lease_until = now(), current_task = NULL WHERE id = %s AND state = 'online'"
)
_ACKNOWLEDGE = """
UPDATE workers SET acknowledged = %s, acknowledged_at = clock_timestamp() WHERE id = %s AND acknowledged <> %s
"""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a worker process says of itself at each heartbeat; `cpu_percent` is of one processor."""

    finished_tasks: int = 0
    succeeded_tasks: int = 0
    failed_tasks: int = 0
    memory_mib: int = 0
    cpu_percent: float = 0.0
    current_task: int | None = None


def beat(worker_id: int, pulse: Pulse) -> bool:
    """Extend the lease of a worker over all it holds. False: the lease was lost and its tasks belong to others."""
    told = [
        *(pulse.finished_tasks, pulse.succeeded_tasks, pulse.failed_tasks),
        *(pulse.memory_mib, pulse.cpu_percent, pulse.current_task),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, [conf.get("LEASE_SECONDS"), *told, worker_id])
        return bool(cursor.rowcount)


def cancel_requests(task_ids: Sequence[int]) -> dict[int, UUID | None]:
    """Of those that somebody asked to end: the lease of the attempt that runs now, by task."""
    asked = Task.objects.filter(pk__in=task_ids, cancel_requested_at__isnull=False)
    return dict(asked.values_list("pk", "lease")) if task_ids else {}


def desired(worker_id: int) -> str | None:
    """What the worker was asked to do (states.Desire); None when its row is gone."""
    return Worker.objects.filter(pk=worker_id).values_list("desired", flat=True).first()


def acknowledge(worker_id: int, desire: str) -> None:
    """Say that the worker does what was desired, and when it began to."""
    with connection.cursor() as cursor:
        cursor.execute(_ACKNOWLEDGE, [desire, worker_id, desire])


def sign_off(worker_id: int) -> None:
    """Take a worker off the list; anything it still holds is rescued by the next tick."""
    with connection.cursor() as cursor:
        cursor.execute(_SIGN_OFF, [worker_id])
