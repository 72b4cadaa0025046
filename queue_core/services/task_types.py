"""task_types: the registered tasks with what holds for each now, and roughly how many wait and run."""

import datetime
from dataclasses import dataclass

from django.db import connection

from queue_core import conf, registry
from queue_core.models import TypePolicy
from queue_core.policies import Limit
from queue_core.registry import TaskType

DEPTH_MAX = 10_000

# Of each queue the first rows that are in no lane of a type, and of each type the first in its own lanes.
_WAITING = """
SELECT line.name, count(*), bool_or(line.cut) FROM unnest(%s::text[]) AS q(name)
CROSS JOIN LATERAL (
    SELECT first.name, count(*) OVER () > %s AS cut FROM (
        (SELECT t.name FROM tasks t WHERE t.queue = q.name AND t.state = 'queued' AND NOT t.parked AND t.lane = ''
         ORDER BY t.priority DESC, t.run_at, t.id LIMIT %s)
        UNION ALL
        (SELECT t.name FROM tasks t WHERE t.queue = q.name AND t.state = 'queued' AND NOT t.parked
         AND t.lane > ':' AND t.lane < ';' LIMIT %s)
    ) first
) line GROUP BY line.name
"""
_IN_LANES = """
SELECT n.name, sum(line.depth)::int, bool_or(line.depth > %s) FROM unnest(%s::text[]) AS n(name)
CROSS JOIN unnest(%s::text[]) AS q(name)
CROSS JOIN LATERAL (
    SELECT count(*) AS depth FROM (
        SELECT FROM tasks t WHERE t.queue = q.name AND t.state = 'queued' AND NOT t.parked
        AND t.lane >= n.name || ':' COLLATE "C" AND t.lane < n.name || ';' COLLATE "C" LIMIT %s
    ) first
) line GROUP BY n.name
"""
_RUNNING = "SELECT name, count(*) FROM tasks WHERE state = 'running' AND queue = ANY(%s::text[]) GROUP BY name"


@dataclass(frozen=True, slots=True)
class TypeShown:
    """A registered task type. `limit` is what holds: the person's in `policy`, else the code's."""

    task_type: TaskType
    policy: TypePolicy
    limit: Limit

    @property
    def paused_at(self) -> datetime.datetime | None:
        return self.policy.paused_at


@dataclass(frozen=True, slots=True)
class TypeCounts:
    """Due tasks that wait; `more` when not all of them were looked at. Tasks that run."""

    waiting: int = 0
    more: bool = False
    running: int = 0


def task_types() -> list[TypeShown]:
    """Every registered type, by name."""
    said = TypePolicy.objects.in_bulk(registry.names())
    return [_shown(name, said.get(name)) for name in registry.names()]


def task_type(name: str) -> TypeShown:
    """One of them. Raises UnknownTask."""
    return _shown(registry.get(name).name, TypePolicy.objects.filter(pk=name).first())


def _shown(name: str, policy: TypePolicy | None) -> TypeShown:
    found, said = registry.get(name), policy or TypePolicy(name=name)
    return TypeShown(found, said, said.limit.over(found.limit))


def count_types(names: list[str]) -> dict[str, TypeCounts]:
    """What waits and runs of each type, looking at DEPTH_MAX rows of a line at most."""
    queues, most = conf.queues(), DEPTH_MAX + 1
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [queues, DEPTH_MAX, most, most])
        lines = cursor.fetchall()
        cursor.execute(_IN_LANES, [DEPTH_MAX, names, queues, most])
        lanes = {name: (depth, more) for name, depth, more in cursor.fetchall()}
        cursor.execute(_RUNNING, [queues])
        running = dict(cursor.fetchall())
    plain, is_cut = {name: number for name, number, _ in lines}, any(cut for *_, cut in lines)
    return {
        name: TypeCounts(plain.get(name, 0) + lanes[name][0], is_cut or lanes[name][1], running.get(name, 0))
        for name in names
    }
