"""The limit: a psycopg loop that claims 500 tasks, runs them and finishes them, with a history row each. No framework.

It retries nothing, times nothing out, stores no result, and a crash repeats up to 500 tasks.
"""

import os
import time

import psycopg

from tests.benchmarks.marks import mark

_URL = os.environ["DATABASE_URL"]
_BATCH = 500
_SCHEMA = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public;
CREATE TABLE task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'queued', attempt int NOT NULL DEFAULT 0, started_at timestamptz, finished_at timestamptz
);
CREATE INDEX task_queued ON task (id) WHERE state = 'queued';
CREATE TABLE history (task_id bigint NOT NULL, attempt int NOT NULL, outcome text NOT NULL, finished_at timestamptz);
"""
_FILL = """
INSERT INTO task (name, payload)
SELECT 'mark', jsonb_build_array(number - 1, %s::float8, %s::float8) FROM generate_series(1, %s) AS number
"""
_CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id FROM task WHERE state = 'queued' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE task SET state = 'running', attempt = attempt + 1, started_at = now()
FROM picked WHERE task.id = picked.id RETURNING task.id, task.payload
"""
_FINISH = """
WITH moved AS (
    UPDATE task SET state = 'succeeded', finished_at = now() WHERE id = ANY(%s::bigint[]) AND state = 'running'
    RETURNING id, attempt
)
INSERT INTO history (task_id, attempt, outcome, finished_at) SELECT id, attempt, 'succeeded', now() FROM moved
"""


def reset() -> None:
    with psycopg.connect(_URL, autocommit=True) as connection:
        connection.execute(_SCHEMA)


def fill(n: int, seconds: float) -> None:
    with psycopg.connect(_URL, autocommit=True) as connection:
        connection.execute(_FILL, [time.time(), seconds, n])


def settled(n: int) -> float:
    """When the last batch was finished, by PostgreSQL's clock."""
    query = "SELECT count(*), extract(epoch FROM max(finished_at)) FROM history"
    with psycopg.connect(_URL, autocommit=True) as connection:
        while True:
            count, last = connection.execute(query).fetchone() or (0, 0)
            if count >= n:
                return float(last)
            time.sleep(0.05)


def work() -> None:
    with psycopg.connect(_URL, autocommit=True) as connection:
        while True:
            claimed = connection.execute(_CLAIM, [_BATCH]).fetchall()
            for _, payload in claimed:
                mark(*payload)
            if claimed:
                connection.execute(_FINISH, ["{" + ",".join(str(id_) for id_, _ in claimed) + "}"])
            else:
                time.sleep(0.05)


if __name__ == "__main__":
    work()
