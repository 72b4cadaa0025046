"""forget: what grows beside the tasks and has had its time, a slice at a time."""

import time
from collections.abc import Callable

from django.db import connection

from queue_core import conf
from queue_core.services.prune import rules

_SLICE = 5_000
_DAY = 86_400.0

_WORKERS = """
DELETE FROM workers WHERE id IN (
    SELECT id FROM workers WHERE state <> 'online' AND heartbeat_at < now() - make_interval(secs => %s) LIMIT %s)
"""
# A parent that was killed leaves its row open; one that only slept would have said something for a long time.
_POOLS = """
DELETE FROM worker_pools WHERE id IN (
    SELECT id FROM worker_pools WHERE heartbeat_at < now() - make_interval(secs => %s) LIMIT %s)
"""
# Its letters went with their tasks. The condition outside is judged again when a failure has just opened the group.
_GROUPS = """
DELETE FROM dead_letter_groups WHERE open = 0 AND fingerprint IN (
    SELECT fingerprint FROM dead_letter_groups
    WHERE open = 0 AND last_seen < now() - make_interval(secs => %s) LIMIT %s)
"""


def _delete(sql: str, seconds: float, limit: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, [seconds, limit])
        return int(cursor.rowcount)


def _workers(limit: int) -> int:
    return _delete(_WORKERS, conf.get("KEEP_WORKERS_DAYS") * _DAY, limit)


def _pools(limit: int) -> int:
    return _delete(_POOLS, conf.get("KEEP_WORKERS_DAYS") * _DAY, limit)


def _groups(limit: int) -> int:
    """Without a rule failed tasks are kept for ever, and so are their groups."""
    kept = [seconds for (_, state), seconds in rules().items() if state == "failed"]
    return _delete(_GROUPS, max(kept), limit) if kept else 0


# name -> deletes up to so many rows and answers how many. An app above adds its own when it is ready.
STEPS: dict[str, Callable[[int], int]] = {"workers": _workers, "pools": _pools, "groups": _groups}


def forget(*, seconds: float = 60.0) -> dict[str, int]:
    """Delete ended workers and pools, dead-letter groups long closed, and what other apps added to STEPS.

    Each slice is a transaction of its own; after `seconds` it stops. Returns how many of each.
    """
    deadline = time.monotonic() + seconds
    total = dict.fromkeys(STEPS, 0)
    for name, step in STEPS.items():
        while time.monotonic() < deadline:
            deleted = step(_SLICE)
            total[name] += deleted
            if deleted < _SLICE:
                break
    return total
