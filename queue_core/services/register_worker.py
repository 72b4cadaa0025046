import os
import platform
import socket
from collections.abc import Sequence

from django import get_version
from django.db import connection

from queue_core import conf

_REGISTER = """
INSERT INTO workers (name, hostname, pid, queues, lease_until, pool_id, capacity, version, desired, desired_at)
SELECT %s, %s, %s, %s, now() + make_interval(secs => %s), %s, %s, %s, coalesce(before.desired, 'run'), before.desired_at
FROM (VALUES (1)) AS always LEFT JOIN workers before ON before.id = %s
RETURNING id
"""


def register_worker(
    queues: Sequence[str], *, pool: int | None = None, capacity: int = 1, after: int | None = None
) -> int:
    """Write the row of this process and answer its id; it holds tasks from now on as long as it beats.

    `after` is the row of the same process that lost its lease: what was asked of that one is asked of this one.
    """
    host, pid = socket.gethostname(), os.getpid()
    version = f"Python {platform.python_version()}, Django {get_version()}"
    who = [f"{host}:{pid}", host, pid, list(queues), conf.get("LEASE_SECONDS"), pool, capacity, version, after]
    with connection.cursor() as cursor:
        cursor.execute(_REGISTER, who)
        return int(cursor.fetchone()[0])
