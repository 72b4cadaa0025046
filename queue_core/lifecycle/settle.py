"""Ends that others wait for: edges are settled, dependents released or cancelled, workflows ended.

However a task ends (finish, rescue, release, cancel, expire), that statement only writes its state; what follows from
it is written here, later, by whoever comes first. Settlers take turns, and skip every row that another transaction has
locked: they never wait while they hold something, so nobody can deadlock with them. What was skipped keeps its mark
`awaited`, and the next one finds it.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from queue_core.lifecycle import sql
from queue_core.states import OnFailure, TaskState

# Lost with a crash of PostgreSQL, it is done again: the marks `awaited` are back as well. So no commit has to wait
# for the disk.
_TURN = "SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(1886352245)"

_ENDED = """
SELECT id, state, step, workflow_id FROM tasks
WHERE awaited AND state IN ('succeeded', 'failed', 'cancelled', 'expired')
ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""

# Parents take turns: those with few edges do not wait for one with a hundred thousand, and each has one in the pick
# when there are no more parents than edges wanted. An edge whose child is gone would be picked for ever; asked for in
# this form it is always looked up by the primary key.
_PICK = """
SELECT edge.id, edge.task_id, edge.parent_id, edge.on_failure, edge.is_last
FROM unnest(%(ended)s::bigint[]) AS parent(id) CROSS JOIN LATERAL (
    SELECT d.*, row_number() OVER () AS place, lead(d.id) OVER () IS NULL AS is_last
    FROM task_dependencies d
    WHERE d.parent_id = parent.id AND d.outcome = ''
      AND (SELECT child.id FROM tasks child WHERE child.id = d.task_id) IS NOT NULL
    LIMIT %(limit)s
) edge ORDER BY edge.place LIMIT %(limit)s
"""

# Locked first: a child is judged by its state after that, which only the row itself tells for sure. One that somebody
# cancelled, or that expired, is told as well: retried, it knows for whom it still waits. What is known of each child
# comes as JSON, which is looked up where a join of as many rows might compare all with all.
_TELL = """
WITH ready AS MATERIALIZED (
    SELECT id FROM tasks WHERE id = ANY(%(children)s::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
), settled AS (
    UPDATE task_dependencies d SET outcome = %(outcomes)s::jsonb ->> d.parent_id::text
    WHERE d.id = ANY(%(edges)s::bigint[]) AND d.task_id = ANY(ARRAY(SELECT id FROM ready))
)
UPDATE tasks t SET
    waits_for = t.waits_for - (told.parents ->> t.id::text)::int,
    state = CASE WHEN t.state <> 'blocked' THEN t.state
                 WHEN told.reasons ? t.id::text THEN 'cancelled'
                 WHEN t.waits_for = (told.parents ->> t.id::text)::int THEN 'queued'
                 ELSE t.state END,
    parked = CASE WHEN t.state = 'blocked' AND NOT told.reasons ? t.id::text
                       AND t.waits_for = (told.parents ->> t.id::text)::int THEN t.run_at > now()
                  ELSE t.parked END,
    finished_at = CASE WHEN t.state = 'blocked' AND told.reasons ? t.id::text THEN now() ELSE t.finished_at END,
    error = CASE WHEN t.state = 'blocked' THEN coalesce(told.reasons ->> t.id::text, t.error) ELSE t.error END
FROM (SELECT %(parents)s::jsonb AS parents, %(reasons)s::jsonb AS reasons) told
WHERE t.id = ANY(ARRAY(SELECT id FROM ready))
RETURNING t.id, t.queue, t.state = 'queued' AND NOT t.parked, t.state = 'cancelled' AND t.awaited
"""

# Ended steps, all of whose edges are settled, are counted to their workflows, as far as these can be locked now. A step
# that did not succeed is excused when there are steps behind it and all of them go on without it; that is asked only
# when every step has been counted, and so by a transaction that is over.
_COUNT = """
WITH free AS MATERIALIZED (
    SELECT id FROM workflows WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
), unmarked AS (
    UPDATE tasks t SET awaited = false
    WHERE t.id = ANY(%s::bigint[])
      AND (t.workflow_id IS NULL OR t.step IS NULL OR t.workflow_id = ANY(ARRAY(SELECT id FROM free)))
    RETURNING CASE WHEN t.step IS NOT NULL THEN t.workflow_id END AS workflow_id
), ended AS (
    SELECT workflow_id AS id, count(*) AS steps FROM unmarked GROUP BY workflow_id
), counted AS (
    UPDATE workflows w SET done = w.done + ended.steps FROM ended
    WHERE w.id = ended.id AND w.id = ANY(ARRAY(SELECT id FROM free))
    RETURNING w.id, w.done = w.total AS is_over, w.cancel_requested_at IS NOT NULL AS was_cancelled
)
SELECT ended.steps, c.id, CASE WHEN c.is_over IS NOT TRUE THEN '' WHEN NOT EXISTS (
    SELECT 1 FROM tasks t
    WHERE t.workflow_id = c.id AND t.step IS NOT NULL AND t.state <> 'succeeded'
      AND coalesce((SELECT bool_or(d.on_failure = 'cancel') FROM task_dependencies d
                    JOIN tasks child ON child.id = d.task_id AND child.workflow_id = t.workflow_id
                    WHERE d.parent_id = t.id), true)
) THEN 'succeeded' WHEN c.was_cancelled THEN 'cancelled' ELSE 'failed' END
FROM ended LEFT JOIN counted c ON c.id = ended.id
"""
_END = """
UPDATE workflows w SET state = e.state, finished_at = now()
FROM unnest(%s::bigint[], %s::text[]) AS e(id, state) WHERE w.id = e.id
RETURNING w.id, w.name, w.state, w.callbacks::text
"""


@dataclass(frozen=True, slots=True)
class EndedWorkflow:
    id: int
    name: str
    state: str
    callbacks: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parent:
    """A task that has ended in this state, and which step of its workflow it is."""

    id: int
    state: str
    step: str | None

    def reason(self) -> str:
        """What is said of a task that is cancelled because of it."""
        step = "" if self.step is None else f" (step {self.step})"
        return f"cancelled: task {self.id}{step} {'was cancelled' if self.state == 'cancelled' else self.state}"


@dataclass(frozen=True, slots=True)
class OpenEdge:
    """An edge that is not settled; `is_last`: the parent has no other one that nobody has picked."""

    id: int
    child: int
    parent: int
    on_failure: str
    is_last: bool = True


@dataclass(slots=True)
class Told:
    """`children` were told; `queues` have work now; `goes_on`: some of them were cancelled, and are awaited too."""

    children: set[int] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    goes_on: bool = False


@dataclass(slots=True)
class Settled:
    """What one pass did: `rows`, ends and edges, were settled; `queues` have new work; `more`: there is more to do."""

    rows: int = 0
    queues: set[str] = field(default_factory=set)
    workflows: list[EndedWorkflow] = field(default_factory=list)
    more: bool = False


def settle(limit: int) -> Settled:
    """Settle up to `limit` ended tasks that others wait for, and as many of the edges to them.

    blocked -> queued or cancelled; workflows end. A task with more edges keeps its mark, and the next pass goes on.
    In one transaction; call it while no lock is held, because settlers wait for each other's turn.
    """
    with transaction.atomic(savepoint=False):
        sql.hold_briefly()
        sql.rows(_TURN, [])
        ended = sql.rows(_ENDED, [limit])
        if not ended:
            return Settled()
        parents = [Parent(pk, state, step) for pk, state, step, _ in ended]
        edges = _pick(parents, limit)
        told = tell(parents, edges)
        open_still = _open_still(edges, told)
        over = [parent.id for parent in parents if parent.id not in open_still]
        counted = sql.rows(_COUNT, [sql.array({row[3] for row in ended if row[3] is not None}), sql.array(over)])
        rows = sum(steps for steps, _, _ in counted) + sum(edge.child in told.children for edge in edges)
        more = bool(rows) and (limit in (len(ended), len(edges)) or told.goes_on)
        return Settled(rows, told.queues, _end({pk: state for _, pk, state in counted if state}), more)


def _pick(parents: Sequence[Parent], limit: int) -> list[OpenEdge]:
    ended = sql.array(parent.id for parent in parents)
    return [OpenEdge(*row) for row in sql.rows(_PICK, {"ended": ended, "limit": limit})]


def _open_still(edges: Sequence[OpenEdge], told: Told) -> set[int]:
    """Parents with an edge that was picked and not told, or that was not picked."""
    seen_to_the_end = {edge.parent for edge in edges if edge.is_last}
    return {edge.parent for edge in edges if edge.child not in told.children or edge.parent not in seen_to_the_end}


def tell(parents: Sequence[Parent], edges: Sequence[OpenEdge]) -> Told:
    """Settle these edges to parents that have ended and are locked by the caller, but for children that are locked."""
    if not edges:
        return Told()
    by_id = {parent.id: parent for parent in parents}
    counts = Counter(edge.child for edge in edges)
    culprits: dict[int, int] = {}
    for edge in edges:
        if edge.on_failure == OnFailure.CANCEL and by_id[edge.parent].state != TaskState.SUCCEEDED:
            culprits[edge.child] = min(edge.parent, culprits.get(edge.child, edge.parent))
    params = {
        "children": sql.array(counts),
        "edges": sql.array(edge.id for edge in edges),
        "outcomes": json.dumps({edge.parent: by_id[edge.parent].state for edge in edges}),
        "parents": json.dumps(counts),
        "reasons": json.dumps({child: by_id[culprit].reason() for child, culprit in culprits.items()}),
    }
    rows = sql.rows(_TELL, params)
    return Told({row[0] for row in rows}, {row[1] for row in rows if row[2]}, any(row[3] for row in rows))


def _end(over: Mapping[int, str]) -> list[EndedWorkflow]:
    """End workflows, which are locked, in these states by id."""
    if not over:
        return []
    rows = sql.rows(_END, [sql.array(over), sql.array(over.values())])
    return [EndedWorkflow(pk, name, state, json.loads(callbacks)) for pk, name, state, callbacks in sorted(rows)]
