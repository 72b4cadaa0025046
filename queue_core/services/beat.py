from uuid import UUID

from django.db import connection

from queue_core import conf
from queue_core.models import Task

_BEAT = """
UPDATE workers SET heartbeat_at = now(), lease_until = now() + make_interval(secs => %s),
    finished_tasks = %s, memory_mib = %s, current_task = %s
WHERE id = %s AND state = 'online' AND lease_until > now()
"""
_STOP = (
    "UPDATE workers SET state = 'stopped', lease_until = now(), current_task = NULL WHERE id = %s AND state = 'online'"
)


def beat(worker_id: int, *, finished_tasks: int, memory_mib: int, current_task: int | None) -> bool:
    """Extend the lease of a worker over all it holds. False: the lease was lost and its tasks belong to others."""
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, [conf.get("LEASE_SECONDS"), finished_tasks, memory_mib, current_task, worker_id])
        return bool(cursor.rowcount)


def is_cancel_requested(task_id: int, lease: UUID) -> bool:
    """Whether somebody asked the attempt that holds `lease` to end."""
    return Task.objects.filter(pk=task_id, lease=lease, cancel_requested_at__isnull=False).exists()


def stop_worker(worker_id: int) -> None:
    """Take a worker off the list; anything it still holds is rescued by the next tick."""
    with connection.cursor() as cursor:
        cursor.execute(_STOP, [worker_id])
