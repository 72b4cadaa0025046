"""pgqueuer on asyncpg and uvloop. Worker: `PgQueuer.run()` in each of two processes; argument: its batch size."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterable

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.benchmarks.marks import mark_async

_URL = os.environ["DATABASE_URL"]


async def _queries() -> Queries:
    return Queries.from_asyncpg_connection(await asyncpg.connect(_URL))


def _payload(number: int, seconds: float = 0.0) -> bytes:
    return json.dumps([number, time.time(), seconds]).encode()


def reset() -> None:
    async def run() -> None:
        connection = await asyncpg.connect(_URL)
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.close()
        await (await _queries()).install()

    uvloop.run(run())


def fill(n: int, seconds: float) -> None:
    async def run() -> None:
        payloads = [_payload(number, seconds) for number in range(n)]
        await (await _queries()).enqueue(["mark"] * n, payloads, [0] * n)

    uvloop.run(run())


def submit_each(numbers: Iterable[int]) -> None:
    async def run() -> None:
        queries = await _queries()
        for number in numbers:
            await queries.enqueue("mark", _payload(number))

    uvloop.run(run())


async def work(batch: int) -> None:
    queuer = PgQueuer.from_asyncpg_connection(await asyncpg.connect(_URL))

    @queuer.entrypoint("mark")
    async def run(job: Job) -> None:
        await mark_async(*json.loads(job.payload or b"[]"))

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queuer.shutdown.set)
    await queuer.run(batch_size=batch)


if __name__ == "__main__":
    uvloop.run(work(int(sys.argv[1])))
