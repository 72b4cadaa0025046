"""What the parent of worker processes tells about itself, and hears, about once a second."""

import os
import socket
from collections.abc import Sequence

from django.db import connection, transaction

from queue_core.models import WorkerPool

_POLL = "UPDATE worker_pools SET heartbeat_at = now(), running = %s WHERE id = %s RETURNING wanted"
# Of the processes the parent has, those too many: the ones without a task first, then the youngest.
_SHRINK = """
WITH staying AS (
    SELECT id, current_task FROM workers
    WHERE pool_id = %s AND pid = ANY(%s) AND state = 'online' AND desired IN ('run', 'pause')
), surplus AS (
    SELECT id FROM staying ORDER BY current_task IS NOT NULL, id DESC
    LIMIT greatest(0, (SELECT count(*) FROM staying) - %s)
)
UPDATE workers w SET desired = 'drain', desired_at = now() FROM surplus WHERE w.id = surplus.id
"""
_LEAVING = """
SELECT count(*) FROM workers
WHERE pool_id = %s AND pid = ANY(%s) AND state = 'online' AND desired IN ('drain', 'stop')
"""
_CLOSE = "UPDATE worker_pools SET stopped_at = now(), running = 0 WHERE id = %s"


def open_pool(queues: Sequence[str], wanted: int) -> int:
    """Write the row of this parent and answer its id."""
    host, pid = socket.gethostname(), os.getpid()
    pool = WorkerPool.objects.create(name=f"{host}:{pid}", hostname=host, pid=pid, queues=list(queues), wanted=wanted)
    return pool.pk


def poll_pool(pool_id: int, pids: Sequence[int]) -> int | None:
    """Say which processes there are, and ask those too many to drain. Answers how many are wanted, None without a row.

    One that was asked to leave still has its place: the answer counts it, so that a pool that is scaled up meanwhile
    need not wait for its end.
    """
    mine = list(pids)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_POLL, [len(mine), pool_id])
        found = cursor.fetchone()
        if found is None:
            return None
        cursor.execute(_SHRINK, [pool_id, mine, found[0]])
        cursor.execute(_LEAVING, [pool_id, mine])
        return int(found[0]) + int(cursor.fetchone()[0])


def close_pool(pool_id: int) -> None:
    """Take the pool off the list; its workers sign off for themselves."""
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE, [pool_id])
