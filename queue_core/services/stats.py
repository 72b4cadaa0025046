"""stats: how many tasks there are by state, queue and name, in bounded time however many there are."""

import datetime
from collections import Counter
from dataclasses import dataclass

from django.db import connection

from queue_core.time_limit import TooSlow, time_limit

LIVE_MAX = 100_000
_SECONDS = 1.0
_SAMPLED_PAGES = 2_000

# Each arm is read off an index of its own.
_LIVE = """
SELECT 'queued', count(*) FROM (SELECT 1 FROM tasks WHERE state = 'queued' AND NOT parked LIMIT %(most)s) due
UNION ALL
SELECT 'queued', count(*) FROM (SELECT 1 FROM tasks WHERE state = 'queued' AND parked LIMIT %(most)s) later
UNION ALL SELECT 'running', count(*) FROM (SELECT 1 FROM tasks WHERE state = 'running' LIMIT %(most)s) now
UNION ALL
SELECT 'blocked', count(*) FROM (
    SELECT 1 FROM tasks WHERE state = 'blocked' LIMIT %(most)s
) held
"""
_COUNTS = """
SELECT state, queue, name, count(*) FROM tasks {sample}
WHERE created_at >= now() - make_interval(secs => %s) GROUP BY 1, 2, 3
"""
_PAGES = "SELECT greatest(relpages, 1) FROM pg_class WHERE oid = 'tasks'::regclass"


@dataclass(frozen=True, slots=True)
class Stats:
    """Tasks submitted within `window`, by `states`, `queues` and `names`; an estimate unless `exact`.

    `live` are those not over, of any age: exact while each is below LIVE_MAX (`live_exact`); empty where even that
    takes too long.
    """

    window: datetime.timedelta
    exact: bool
    states: dict[str, int]
    queues: dict[str, int]
    names: dict[str, int]
    live: dict[str, int]
    live_exact: bool


def stats(window: datetime.timedelta) -> Stats:
    """Counted when that takes less than a second, else estimated from pages picked at random."""
    try:
        with time_limit(_SECONDS):
            groups, exact = _groups(window, 100.0), True
    except TooSlow:
        groups, exact = _sampled(window), False
    states, queues, names = Counter[str](), Counter[str](), Counter[str]()
    for state, queue, name, count in groups:
        states[state] += count
        queues[queue] += count
        names[name] += count
    live, live_exact = _live()
    return Stats(window, exact, dict(states), dict(queues), dict(names), live, live_exact)


def _groups(window: datetime.timedelta, percent: float) -> list[tuple[str, str, str, int]]:
    sample = "" if percent >= 100 else f"TABLESAMPLE SYSTEM ({percent:.6f})"
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS.format(sample=sample), [window.total_seconds()])
        return [(state, queue, name, round(n * 100 / percent)) for state, queue, name, n in cursor.fetchall()]


def _sampled(window: datetime.timedelta) -> list[tuple[str, str, str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_PAGES)
        (pages,) = cursor.fetchone()
    return _groups(window, min(100.0, 100.0 * _SAMPLED_PAGES / pages))


def _live() -> tuple[dict[str, int], bool]:
    found = Counter[str]()
    try:
        with time_limit(_SECONDS), connection.cursor() as cursor:
            cursor.execute(_LIVE, {"most": LIVE_MAX})
            rows = cursor.fetchall()
    except TooSlow:
        return {}, False
    for state, count in rows:
        found[state] += count
    return dict(found), all(count < LIVE_MAX for _, count in rows)
