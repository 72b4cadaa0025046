"""Procrastinate on psycopg. Worker: `procrastinate worker --concurrency 10`, twice."""

import os
import time

import psycopg
from procrastinate import App, PsycopgConnector

from tests.benchmarks.marks import mark

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="mark")
async def mark_task(number: int, sent: float, seconds: float) -> None:
    mark(number, sent, seconds)


def reset() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    with app.open():
        app.schema_manager.apply_schema()


def fill(n: int, seconds: float) -> None:
    with app.open():
        mark_task.batch_defer(*[{"number": i, "sent": time.time(), "seconds": seconds} for i in range(n)])
