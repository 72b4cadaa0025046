"""Ends that others wait for: edges are settled, dependents released or cancelled, workflows ended.

However a task ends (finish, rescue, release, cancel, expire), that statement only writes its state; what follows from
it is written here, later, by whoever comes first. Settlers take turns, and skip every row that another transaction has
locked: they never wait while they hold something, so nobody can deadlock with them. What was skipped keeps its mark
`awaited`, and the next one finds it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from queue_core.lifecycle import sql

# Lost with a crash of PostgreSQL, it is done again: the marks `awaited` are back as well. So no commit has to wait
# for the disk.
_TURN = "SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(1886352245)"

_ENDED = """
SELECT id, workflow_id FROM tasks
WHERE awaited AND state IN ('succeeded', 'failed', 'cancelled', 'expired')
ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""

# Locked first: a child is judged by its state after that. One that somebody
# cancelled, or that expired, is told as well: retried, it knows for whom it still waits.
_TELL = """
WITH ready AS MATERIALIZED (
    SELECT t.id, t.state, t.waits_for FROM tasks t WHERE t.id = ANY (ARRAY(
        SELECT d.task_id FROM task_dependencies d WHERE d.parent_id = ANY(%(ended)s::bigint[]) AND d.outcome = ''))
    ORDER BY t.id FOR UPDATE SKIP LOCKED
), settled AS (
    UPDATE task_dependencies d SET outcome = parent.state
    FROM tasks parent, ready
    WHERE d.parent_id = ANY(%(ended)s::bigint[]) AND parent.id = d.parent_id AND d.task_id = ready.id
      AND d.outcome = ''
    RETURNING d.task_id, d.parent_id, d.on_failure, d.outcome
), told AS (
    SELECT task_id, count(*) AS parents,
           min(parent_id) FILTER (WHERE on_failure = 'cancel' AND outcome <> 'succeeded') AS culprit
    FROM settled GROUP BY task_id
), judged AS (
    SELECT told.*, ready.state = 'blocked' AND told.culprit IS NOT NULL AS dragged,
           ready.state = 'blocked' AND told.culprit IS NULL AND ready.waits_for = told.parents AS free
    FROM told JOIN ready ON ready.id = told.task_id
)
UPDATE tasks t SET
    waits_for = t.waits_for - judged.parents,
    state = CASE WHEN dragged THEN 'cancelled' WHEN free THEN 'queued' ELSE t.state END,
    parked = CASE WHEN free THEN t.run_at > now() ELSE t.parked END,
    finished_at = CASE WHEN dragged THEN now() ELSE t.finished_at END,
    error = CASE WHEN dragged THEN format('cancelled: task %%s%%s %%s', parent.id, ' (step ' || parent.step || ')',
        CASE parent.state WHEN 'cancelled' THEN 'was cancelled' ELSE parent.state END) ELSE t.error END
FROM judged LEFT JOIN tasks parent ON parent.id = judged.culprit
WHERE t.id = judged.task_id AND t.id = ANY(ARRAY(SELECT id FROM ready))
RETURNING t.queue, free AND NOT t.parked, dragged AND t.awaited
"""

# Ended steps are counted to their workflows, as far as these can be locked now. An edge whose child is gone can be told
# to nobody. A step that did not succeed is excused when there are steps behind it and all of them go on without it;
# that is asked only when every step has been counted, and so by a transaction that is over.
_COUNT = """
WITH free AS MATERIALIZED (
    SELECT id FROM workflows WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
), unmarked AS (
    UPDATE tasks t SET awaited = false
    WHERE t.id = ANY(%s::bigint[])
      AND (t.workflow_id IS NULL OR t.step IS NULL OR t.workflow_id = ANY(ARRAY(SELECT id FROM free)))
      AND NOT EXISTS (SELECT 1 FROM task_dependencies d JOIN tasks child ON child.id = d.task_id
                      WHERE d.parent_id = t.id AND d.outcome = '')
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


@dataclass(slots=True)
class Settled:
    """What one pass did: `tasks` were settled; `queues` have new work; `more`: another pass finds something."""

    tasks: int = 0
    queues: set[str] = field(default_factory=set)
    workflows: list[EndedWorkflow] = field(default_factory=list)
    more: bool = False


def settle(limit: int) -> Settled:
    """Settle up to `limit` ended tasks that others wait for. blocked -> queued or cancelled; workflows end.

    In one transaction; call it while no lock is held, because settlers wait for each other's turn.
    """
    with transaction.atomic(savepoint=False):
        sql.hold_briefly()
        sql.rows(_TURN, [])
        ended = sql.rows(_ENDED, [limit])
        if not ended:
            return Settled()
        ids = [row[0] for row in ended]
        queues, dragged = tell(ids)
        of_workflows = {row[1] for row in ended if row[1] is not None}
        counted = sql.rows(_COUNT, [sql.array(of_workflows), sql.array(ids)])
        settled = sum(steps for steps, _, _ in counted)
        more = bool(settled) and (len(ids) == limit or dragged)
        return Settled(settled, queues, _end({pk: state for _, pk, state in counted if state}), more)


def tell(ended: Sequence[int]) -> tuple[set[str], bool]:
    """Settle the edges to tasks that wait for these (ended, and locked by the caller).

    Answers the queues that have work now, and whether tasks were cancelled that are awaited themselves.
    """
    rows = sql.rows(_TELL, {"ended": sql.array(ended)})
    return {queue for queue, is_due, _ in rows if is_due}, any(dragged for _, _, dragged in rows)


def _end(over: Mapping[int, str]) -> list[EndedWorkflow]:
    """End workflows, which are locked, in these states by id."""
    if not over:
        return []
    rows = sql.rows(_END, [sql.array(over), sql.array(over.values())])
    return [EndedWorkflow(pk, name, state, json.loads(callbacks)) for pk, name, state, callbacks in sorted(rows)]
