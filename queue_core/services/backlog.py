"""backlog: what waits in each queue, found without counting a long one to its end."""

from dataclasses import dataclass

from django.db import connection

from queue_core import conf

DEPTH_MAX = 10_000

# The first rows in line, off the claim's own index.
_BACKLOG = """
SELECT q.name, waiting.depth, extract(epoch FROM now() - waiting.oldest)::float8
FROM unnest(%s::text[]) WITH ORDINALITY AS q(name, position)
CROSS JOIN LATERAL (
    SELECT count(*) AS depth, min(run_at) AS oldest FROM (
        SELECT t.run_at FROM tasks t WHERE t.queue = q.name AND t.state = 'queued' AND NOT t.parked
        ORDER BY t.priority DESC, t.run_at, t.id LIMIT %s
    ) line
) waiting ORDER BY q.position
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Due tasks of a queue: `depth` stops at DEPTH_MAX, `oldest_age` is the longest wait among those in seconds."""

    name: str
    depth: int
    more: bool
    oldest_age: float | None


def backlog() -> list[Backlog]:
    """One for each queue, in the order of the setting QUEUES."""
    with connection.cursor() as cursor:
        cursor.execute(_BACKLOG, [conf.queues(), DEPTH_MAX + 1])
        return [Backlog(name, min(depth, DEPTH_MAX), depth > DEPTH_MAX, age) for name, depth, age in cursor.fetchall()]
