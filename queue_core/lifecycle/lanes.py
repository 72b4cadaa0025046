"""Which lanes of a queue have work."""

from collections.abc import Iterable

from queue_core.lifecycle import sql

# A recursive skip scan: one probe of the claim's index per lane, however many tasks are in it. Behind a lane of a type
# that is shut it goes on behind all lanes of that type (`;` follows `:`).
_LANES = """
WITH RECURSIVE line(lane, n) AS (
    SELECT head.lane, 1 FROM (
        SELECT t.lane FROM tasks t
        WHERE t.queue = %s AND t.state = 'queued' AND NOT t.parked AND t.lane >= %s
        ORDER BY t.lane LIMIT 1
    ) head
    UNION ALL
    SELECT next.lane, line.n + 1 FROM line CROSS JOIN LATERAL (
        SELECT t.lane FROM tasks t
        WHERE t.queue = %s AND t.state = 'queued' AND NOT t.parked
          AND t.lane >= CASE WHEN split_part(line.lane, ':', 1) = ANY(%s::text[])
                             THEN split_part(line.lane, ':', 1) || ';' ELSE line.lane || E'\\x01' END COLLATE "C"
        ORDER BY t.lane LIMIT 1
    ) next WHERE line.n < %s
)
SELECT lane FROM line
"""


def lanes(queue: str, start: str, limit: int, shut: Iterable[str] = ()) -> list[str]:
    """Up to `limit` lanes with due tasks from the lane `start` on, in order; one only of each type in `shut`."""
    return [row[0] for row in sql.rows(_LANES, [queue, start, queue, list(shut), limit])]


_PRUNE = """
WITH idle AS (SELECT lane FROM lanes WHERE idle_at < now() ORDER BY idle_at LIMIT %s FOR UPDATE SKIP LOCKED)
DELETE FROM lanes l USING idle WHERE l.lane = idle.lane RETURNING l.lane
"""


def prune_lanes(limit: int) -> int:
    """Forget buckets that are full and that nobody used for an hour. Returns how many."""
    return len(sql.rows(_PRUNE, [limit]))
