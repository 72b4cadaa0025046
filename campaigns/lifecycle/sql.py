"""How a statement of this package runs, and what every one of them keeps up to date."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

_SHARDS = 16


def rows(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def shard() -> int:
    return os.getpid() % _SHARDS


# `moved` must have (campaign_id, before, state); a row that came or went has no state on that side. Rows are written in
# order, so that two processes never deadlock.
COUNT = """
INSERT INTO campaign_counts (campaign_id, state, shard, n)
SELECT campaign_id, state, %s, sum(n) FROM (
    SELECT campaign_id, before AS state, -1 AS n FROM moved WHERE before IS NOT NULL
    UNION ALL SELECT campaign_id, state, 1 FROM moved WHERE state IS NOT NULL
) change GROUP BY campaign_id, state HAVING sum(n) <> 0 ORDER BY campaign_id, state
ON CONFLICT (campaign_id, state, shard) DO UPDATE SET n = campaign_counts.n + excluded.n
"""

# `happened` must have (campaign_id, kind, at).
TALLY = """
INSERT INTO campaign_hours (campaign_id, hour, kind, shard, n)
SELECT campaign_id, date_trunc('hour', at, 'UTC'), kind, %s, count(*) FROM happened GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (campaign_id, hour, kind, shard) DO UPDATE SET n = campaign_hours.n + excluded.n
"""
