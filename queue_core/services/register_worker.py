import os
import socket
from collections.abc import Sequence

from django.db import connection

from queue_core import conf

_REGISTER = """
INSERT INTO workers (name, hostname, pid, queues, lease_until)
VALUES (%s, %s, %s, %s, now() + make_interval(secs => %s)) RETURNING id
"""


def register_worker(queues: Sequence[str]) -> int:
    """Write the row of this process and answer its id; it holds tasks from now on as long as it beats."""
    host, pid = socket.gethostname(), os.getpid()
    with connection.cursor() as cursor:
        cursor.execute(_REGISTER, [f"{host}:{pid}", host, pid, list(queues), conf.get("LEASE_SECONDS")])
        return int(cursor.fetchone()[0])
