"""Edges and workflows: written when they are submitted, opened again by a retry.

Whoever locks tasks and workflows locks the tasks first, by id, so that two of them never wait for each other.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from queue_core.lifecycle import sql
from queue_core.lifecycle.settle import OpenEdge, Parent, tell

# (child, parent, what a failure of the parent does to the child)
Edge = tuple[int, int, str]

_LOCK_PARENTS = "SELECT id FROM tasks WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE"
_ADD_EDGES = """
INSERT INTO task_dependencies (task_id, parent_id, on_failure)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[])
"""
# A parent that has ended, but is not settled, will be told with the others that wait for it.
_AWAIT = """
WITH parents AS (
    SELECT id, state, step, state IN ('succeeded', 'failed', 'cancelled', 'expired') AS is_over, awaited
    FROM tasks WHERE id = ANY(%s::bigint[])
), marked AS (
    UPDATE tasks t SET awaited = true
    WHERE t.id = ANY(ARRAY(SELECT p.id FROM parents p WHERE NOT p.awaited AND NOT p.is_over))
)
SELECT id, state, step FROM parents WHERE is_over AND NOT awaited
"""
_EDGES = """
SELECT id, task_id, parent_id, on_failure FROM task_dependencies
WHERE task_id = ANY(%s::bigint[]) AND parent_id = ANY(%s::bigint[])
"""


def lock_parents(ids: Iterable[int]) -> set[int]:
    """Those of the tasks that are there; locked, so that none ends or is forgotten before `depend` is through."""
    return {row[0] for row in sql.rows(_LOCK_PARENTS, [sql.array(ids)])}


def add_edges(edges: Sequence[Edge]) -> None:
    sql.execute(
        _ADD_EDGES, [sql.array(e[0] for e in edges), sql.array(e[1] for e in edges), sql.array(e[2] for e in edges)]
    )


def depend(edges: Sequence[Edge]) -> set[str]:
    """Let new blocked tasks wait for others, whose rows the caller has locked. Answers queues that have work now.

    A parent that ended long ago is settled at once.
    """
    add_edges(edges)
    over = [Parent(*row) for row in sql.rows(_AWAIT, [sql.array({parent for _, parent, _ in edges})])]
    if not over:
        return set()
    children, parents = {child for child, _, _ in edges}, (parent.id for parent in over)
    new = [OpenEdge(*row) for row in sql.rows(_EDGES, [sql.array(children), sql.array(parents)])]
    return tell(over, new).queues


_NEW_WORKFLOW = """
INSERT INTO workflows (name, total, callbacks, created_by_id, created_at) VALUES (%s, %s, %s::jsonb, %s, now())
RETURNING id
"""


def new_workflow(name: str, total: int, callbacks: dict[str, Any], by: int | None) -> int:
    return int(sql.rows(_NEW_WORKFLOW, [name, total, json.dumps(callbacks), by])[0][0])


_LOCK_LIVE = """
SELECT id FROM tasks WHERE workflow_id = ANY(%s::bigint[]) AND step IS NOT NULL
  AND state IN ('blocked', 'queued', 'running') ORDER BY id FOR UPDATE
"""
_ASK = """
UPDATE workflows SET cancel_requested_at = now()
WHERE id = ANY(%s::bigint[]) AND state = 'running' AND cancel_requested_at IS NULL RETURNING id
"""


def ask_workflows_to_end(ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Mark running workflows as cancelled by somebody. Answers (those marked, the tasks of all that are not over)."""
    live = [row[0] for row in sql.rows(_LOCK_LIVE, [sql.array(ids)])]
    return [row[0] for row in sql.rows(_ASK, [sql.array(ids)])], live


# What has not succeeded, and what waits for it: in order, before the workflow's own row. A step that somebody retried
# by itself runs already; the others wait for it again.
_LOCK_BEHIND = """
SELECT id, state IN ('queued', 'running') FROM tasks WHERE workflow_id = %s AND step IS NOT NULL
  AND state <> 'succeeded' ORDER BY id FOR UPDATE
"""
_LOCK_WORKFLOW = "SELECT state, cancel_requested_at IS NOT NULL FROM workflows WHERE id = %s FOR UPDATE"
_UNSETTLE = """
UPDATE task_dependencies SET outcome = ''
WHERE task_id = ANY(%(steps)s::bigint[]) AND parent_id = ANY(%(parents)s::bigint[]) AND outcome <> ''
"""
_RETRY = f"""
WITH waiting AS (
    SELECT t.id, t.state = 'blocked' AS was_blocked, t.awaited,
           (SELECT count(*) FROM task_dependencies d WHERE d.task_id = t.id AND d.outcome = '') AS parents
    FROM tasks t WHERE t.id = ANY(%s::bigint[])
), moved AS (
    UPDATE tasks t SET
        waits_for = w.parents,
        state = CASE WHEN w.was_blocked OR w.parents > 0 THEN 'blocked' ELSE 'queued' END,
        run_at = greatest(t.run_at, now()),
        parked = w.parents = 0 AND t.run_at > now(),
        finished_at = NULL,
        cancel_requested_at = NULL,
        awaited = true,
        error = CASE WHEN t.attempt = 0 THEN '' ELSE t.error END,
        expires_at = CASE WHEN t.expires_at > now() THEN t.expires_at END,
        max_attempts = greatest(t.max_attempts, t.attempt - t.crashes + 1),
        max_crashes = greatest(t.max_crashes, t.crashes + 1)
    FROM waiting w WHERE t.id = w.id AND t.id = ANY(ARRAY(SELECT id FROM waiting))
    RETURNING t.id, t.queue, t.state, w.was_blocked, NOT w.was_blocked AND NOT w.awaited AS was_counted
), reopened AS (
    UPDATE workflows SET state = 'running', finished_at = NULL, cancel_requested_at = NULL,
        done = done - (SELECT count(*) FROM moved WHERE was_counted)
    WHERE id = %s AND EXISTS (SELECT 1 FROM moved WHERE NOT was_blocked)
), resolved AS (
    UPDATE dead_letter_queue d SET resolution = 'retried', resolved_at = now(), resolved_by_id = %s
    FROM moved WHERE d.task_id = moved.id AND d.resolution = ''
    RETURNING d.fingerprint
), {sql.REGROUP}
SELECT queue, state = 'queued', NOT was_blocked FROM moved
"""


@dataclass(frozen=True, slots=True)
class Retried:
    """`refused` is the state that did not allow it, or "" when `steps` of them went back in line."""

    steps: int
    queues: set[str]
    refused: str = ""


def retry_workflow(pk: int, *, by: int | None) -> Retried:
    """failed, cancelled, expired steps -> queued, or blocked while they wait for each other.

    A workflow that ended is running again. Refused when it succeeded, or while it is being cancelled.
    """
    behind = sql.rows(_LOCK_BEHIND, [pk])
    steps = sql.array(step for step, is_under_way in behind if not is_under_way)
    state, is_asked = sql.rows(_LOCK_WORKFLOW, [pk])[0]
    if state == "succeeded" or (state == "running" and is_asked):
        return Retried(0, set(), "being cancelled" if is_asked else str(state))
    sql.execute(_UNSETTLE, {"steps": steps, "parents": sql.array(step for step, _ in behind)})
    moved = sql.rows(_RETRY, [steps, pk, by])
    return Retried(sum(back for _, _, back in moved), {queue for queue, is_due, _ in moved if is_due})
