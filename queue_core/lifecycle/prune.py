"""Forgetting: finished tasks past their keep, with all that hangs on them."""

import json
from collections.abc import Mapping, Sequence

from queue_core.lifecycle import sql

# `doomed` must have the ids; of those only what is over goes.
_FORGET = """
gone AS (
    DELETE FROM tasks t USING doomed WHERE t.id = doomed.id
      AND t.state IN ('succeeded', 'failed', 'cancelled', 'expired') AND NOT t.awaited RETURNING t.id, t.workflow_id
), edges AS (
    DELETE FROM task_dependencies USING (
        SELECT d.id FROM task_dependencies d JOIN gone ON d.task_id = gone.id
        UNION SELECT d.id FROM task_dependencies d JOIN gone ON d.parent_id = gone.id
    ) loose WHERE task_dependencies.id = loose.id
), emptied AS (
    DELETE FROM workflows w WHERE w.id IN (SELECT workflow_id FROM gone) AND w.state <> 'running'
      AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.workflow_id = w.id AND t.id NOT IN (SELECT id FROM gone))
), executions AS (
    DELETE FROM task_executions e USING gone WHERE e.task_id = gone.id
), results AS (
    DELETE FROM task_results r USING gone WHERE r.task_id = gone.id
), progress AS (
    DELETE FROM task_progress p USING gone WHERE p.task_id = gone.id
), logs AS (
    DELETE FROM task_logs l USING gone WHERE l.task_id = gone.id
), resolved AS (
    DELETE FROM dead_letter_queue d USING gone WHERE d.task_id = gone.id RETURNING d.fingerprint, d.resolution
), regrouped AS (
    UPDATE dead_letter_groups g SET open = g.open - closed.n
    FROM (SELECT fingerprint, count(*) AS n FROM resolved WHERE resolution = '' GROUP BY fingerprint) closed
    WHERE g.fingerprint = closed.fingerprint
)
"""

# Walks the primary key, whose order is that of creation, so that no index is needed that every task would have to be
# written to. The walk ends at the first row too young to be forgotten by any rule.
_PRUNE = f"""
WITH slice AS MATERIALIZED (
    SELECT id, queue, state, finished_at, pinned OR awaited AS pinned, workflow_id FROM tasks
    WHERE id > %s AND created_at < now() - make_interval(secs => %s)
    ORDER BY id LIMIT %s
), kept AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS k(queue text, state text, seconds float8)
), doomed AS (
    SELECT s.id FROM slice s
    JOIN LATERAL (
        SELECT k.seconds FROM kept k WHERE k.state = s.state AND k.queue IN (s.queue, '*')
        ORDER BY k.queue = '*' LIMIT 1
    ) rule ON s.finished_at < now() - make_interval(secs => rule.seconds)
    WHERE s.state IN ('succeeded', 'failed', 'cancelled', 'expired') AND NOT s.pinned
      AND NOT EXISTS (SELECT 1 FROM workflows w WHERE w.id = s.workflow_id AND w.state = 'running')
), {_FORGET}
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM slice), (SELECT max(id) FROM slice)
"""


def prune(after: int, limit: int, keep: Mapping[tuple[str, str], float]) -> tuple[int, int, int | None]:
    """Look at up to `limit` tasks with an id above `after`; delete those that are final and past their keep.

    `keep` maps (queue or "*", state) to seconds since the task finished. Returns (deleted, looked at, the last id
    looked at). What others wait for stays, and every step of a workflow that runs; a workflow goes with its last task.
    """
    rules = [{"queue": queue, "state": state, "seconds": seconds} for (queue, state), seconds in keep.items()]
    row = sql.rows(_PRUNE, [after, min(keep.values()), limit, json.dumps(rules)])[0]
    return int(row[0]), int(row[1]), row[2]


_DELETE = f"""
WITH doomed AS (
    SELECT t.id FROM tasks t WHERE t.id = ANY(%s::bigint[]) AND NOT t.pinned AND (t.step IS NULL
      OR NOT EXISTS (SELECT 1 FROM workflows w WHERE w.id = t.workflow_id AND w.state = 'running'))
    ORDER BY t.id FOR UPDATE OF t
), {_FORGET}
SELECT id FROM gone
"""


def delete(ids: Sequence[int]) -> list[int]:
    """Delete those of these tasks that are final and not pinned, with all that hangs on them. Returns their ids.

    What others wait for stays, and every step of a workflow that runs: how that ends is judged by its steps.
    """
    return [row[0] for row in sql.rows(_DELETE, [sql.array(ids)])]
