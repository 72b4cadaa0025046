"""What the statements of this package are made of.

An UPDATE of tasks that a CTE has picked names them by `id = ANY(ARRAY(SELECT id FROM picked))`, also when it joins the
CTE: a join alone is planned for as many tasks as the last ANALYZE saw, and after one that saw an emptied table
PostgreSQL compares every task with every picked one (3 s for a claim of 500 among 100 000). An array is looked up by
the primary key, whatever the statistics say.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from queue_core import conf

# A NUL inside a JSON text: \u0000 behind an even number of backslashes.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

# `dead` must have (id, name, queue, reason, fingerprint, error). Groups are written in order, so that two workers
# that fail at once never deadlock.
BURY = """
letters AS (
    INSERT INTO dead_letter_queue (task_id, name, queue, reason, fingerprint, error, failed_at)
    SELECT id, name, queue, reason, fingerprint, error, now() FROM dead
), grouped AS (
    INSERT INTO dead_letter_groups AS g (fingerprint, name, error, open, total, first_seen, last_seen)
    SELECT fingerprint, min(name), max(error), count(*), count(*), now(), now()
    FROM dead GROUP BY fingerprint ORDER BY fingerprint
    ON CONFLICT (fingerprint) DO UPDATE
    SET open = g.open + excluded.open, total = g.total + excluded.total, error = excluded.error, last_seen = now()
)
"""
# `resolved` must have the fingerprint of each letter that was closed.
REGROUP = """
regrouped AS (
    UPDATE dead_letter_groups g SET open = g.open - closed.n
    FROM (SELECT fingerprint, count(*) AS n FROM resolved GROUP BY fingerprint) closed
    WHERE g.fingerprint = closed.fingerprint
)
"""


def rows(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def execute(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> None:
    """A statement that answers nothing."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def hold_briefly() -> None:
    """Have PostgreSQL end the transaction that begins here, and its locks, when this process stops inside of it.

    Only within a transaction, and for code of ours: a task may well sleep in one.
    """
    milliseconds = round(conf.get("LEASE_SECONDS") * 750)
    execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [str(milliseconds)])


def array(values: Iterable[Any]) -> str:
    """A PostgreSQL array literal of numbers or plain words: far cheaper to build than adapting a list by element."""
    return "{" + ",".join(map(str, values)) + "}"


# What is stored must be readable by every door: parsers and renderers work by recursion.
DEPTH_MAX = 32


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_MAX):
        below = [each for one in level for each in (one.values() if isinstance(one, dict) else one)]
        level = [each for each in below if isinstance(each, dict | list | tuple)]
    return bool(level)


def dump_json(value: Any, *, max_bytes: int, what: str) -> str:
    """JSON text that PostgreSQL will take as jsonb, or ValueError that says why not."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as exc:
        raise ValueError(f"{what} is not JSON: {exc}") from None
    if size > max_bytes:
        raise ValueError(f"{what} has {size} bytes of JSON; the limit is {max_bytes}")
    if text.count("[") + text.count("{") > DEPTH_MAX and _is_deep(value):
        raise ValueError(f"{what} is nested deeper than {DEPTH_MAX} levels; flatten it")
    if _ESCAPED_NUL.search(text):
        raise ValueError(f"{what} holds a NUL character, which PostgreSQL cannot store")
    return text
