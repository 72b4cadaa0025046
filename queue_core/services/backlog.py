"""backlog: what waits in each queue, found without counting a long one to its end."""

import datetime
from dataclasses import dataclass

from django.db import connection

from queue_core import conf
from queue_core.models import Queue

DEPTH_MAX = 10_000

# The first rows in line, off the claim's own index; what runs, off the index of running rows.
_BACKLOG = """
SELECT q.name, waiting.depth, extract(epoch FROM now() - waiting.oldest)::float8,
       (SELECT count(*) FROM tasks r WHERE r.queue = q.name AND r.state = 'running')
FROM unnest(%s::text[]) WITH ORDINALITY AS q(name, position)
CROSS JOIN LATERAL (
    SELECT count(*) AS depth, min(run_at) AS oldest FROM (
        SELECT t.run_at FROM tasks t WHERE t.queue = q.name AND t.state = 'queued' AND NOT t.parked
        ORDER BY t.lane, t.priority DESC, t.run_at, t.id LIMIT %s
    ) line
) waiting ORDER BY q.position
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Due tasks of a queue: `depth` stops at DEPTH_MAX, `oldest_age` is the longest wait among those in seconds.

    `paused_at`, `max_running` and `rate` are how the queue is held back.
    """

    name: str
    depth: int
    more: bool
    oldest_age: float | None
    running: int
    paused_at: datetime.datetime | None
    max_running: int | None
    rate: str


def backlog() -> list[Backlog]:
    """One for each queue, in the order of the setting QUEUES."""
    held = Queue.objects.in_bulk(conf.queues())
    with connection.cursor() as cursor:
        cursor.execute(_BACKLOG, [conf.queues(), DEPTH_MAX + 1])
        rows = cursor.fetchall()
    found = []
    for name, depth, age, running in rows:
        queue = held.get(name) or Queue(name=name)
        limits = (queue.paused_at, queue.max_running, queue.rate)
        found.append(Backlog(name, min(depth, DEPTH_MAX), depth > DEPTH_MAX, age, running, *limits))
    return found
