"""The limit: a psycopg loop that claims 500 tasks, runs them and writes their outcomes. No framework.

It writes the rows a durable queue has to write (a leased task, a row of history with its own times), but retries
nothing, times nothing out, keeps no heartbeat, wakes nobody, and a crash repeats up to 500 tasks.
"""

import os
import time
import uuid
from typing import Any

import psycopg

from tests.benchmarks.marks import mark

_URL = os.environ["DATABASE_URL"]
_BATCH = 500
_SCHEMA = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public;
CREATE TABLE task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, queue text NOT NULL DEFAULT 'default',
    priority int NOT NULL DEFAULT 0, run_at timestamptz NOT NULL DEFAULT now(), payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'queued', attempt int NOT NULL DEFAULT 0, lease uuid, finished_at timestamptz
);
CREATE INDEX task_queued ON task (queue, priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX task_running ON task (lease) WHERE state = 'running';
CREATE TABLE history (
    task_id bigint NOT NULL, attempt int NOT NULL, outcome text NOT NULL, started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL, UNIQUE (task_id, attempt)
);
"""
_FILL = """
INSERT INTO task (name, payload)
SELECT 'mark', jsonb_build_array(number - 1, %s::float8, %s::float8) FROM generate_series(1, %s) AS number
"""
_CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id FROM task WHERE queue = 'default' AND state = 'queued' ORDER BY priority DESC, run_at, id
    LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE task SET state = 'running', attempt = attempt + 1, lease = %s
FROM picked WHERE task.id = picked.id RETURNING task.id, task.payload
"""
_FINISH = """
WITH ended AS (
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::float8[]) AS e(id, outcome, started, finished)
), moved AS (
    UPDATE task SET state = outcome, lease = NULL, finished_at = now()
    FROM ended WHERE task.id = ended.id AND lease = %s AND state = 'running'
    RETURNING task.id, attempt, outcome, started, finished
)
INSERT INTO history SELECT id, attempt, outcome, to_timestamp(started), to_timestamp(finished) FROM moved
"""


def reset() -> None:
    with psycopg.connect(_URL, autocommit=True) as connection:
        connection.execute(_SCHEMA)


def fill(n: int, seconds: float) -> None:
    with psycopg.connect(_URL, autocommit=True) as connection:
        connection.execute(_FILL, [time.time(), seconds, n])


def settled(n: int) -> float:
    """When the last batch was finished, by PostgreSQL's clock."""
    query = "SELECT count(*), extract(epoch FROM max(finished_at)) FROM task WHERE state = 'succeeded'"
    with psycopg.connect(_URL, autocommit=True) as connection:
        while True:
            count, last = connection.execute(query).fetchone() or (0, 0)
            if count >= n:
                return float(last)
            time.sleep(0.05)


def work() -> None:
    with psycopg.connect(_URL, autocommit=True) as connection:
        while True:
            if not work_batch(connection):
                time.sleep(0.05)


def work_batch(connection: "psycopg.Connection[tuple[Any, ...]]") -> int:
    """Claim, run and finish one batch; how many there were."""
    lease = uuid.uuid4()
    ended = []
    for task_id, payload in connection.execute(_CLAIM, [_BATCH, lease]).fetchall():
        started = time.time()
        mark(*payload)
        ended.append((task_id, "succeeded", started, time.time()))
    if ended:
        # Array literals: several times cheaper to build than adapting lists element by element.
        arrays = ["{" + ",".join(map(str, column)) + "}" for column in zip(*ended, strict=True)]
        connection.execute(_FINISH, [*arrays, lease])
    return len(ended)


if __name__ == "__main__":
    work()
