"""Tasks of the tests and benchmarks."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

from django.db import connection, transaction

from queue_core.errors import Discard, RetryLater, Snooze
from queue_core.policies import Backoff
from queue_core.registry import task


@task(name="tests.noop")
def noop(**_: Any) -> None:
    pass


# Takes any payload: many tests keep one that it could not run with.
@task(name="tests.add", schema=None)
def add(*, a: int, b: int) -> int:
    return a + b


@task(name="tests.typed")
def typed(
    *, photo: int, size: Literal["small", "large"] = "small", ratio: float | None = None, tags: list[str] | None = None
) -> int:
    """Has its schema from these annotations."""
    return photo


@task(name="tests.sleep")
def sleep(*, seconds: float, begun: str = "") -> None:
    """Sleeps, after making the empty file `begun`: a task is running from its claim on, before its code is."""
    if begun:
        Path(begun).touch()
    time.sleep(seconds)


@task(name="tests.fail", max_attempts=3, backoff=Backoff(base=0.01, cap=0.02))
def fail(*, text: str = "no") -> None:
    raise ValueError(text)


def discard_function() -> None:
    raise Discard("never")


discard = task(name="tests.discard")(discard_function)


@task(name="tests.retry_later", max_attempts=2)
def retry_later(*, seconds: float) -> None:
    raise RetryLater("busy", seconds=seconds)


@task(name="tests.snooze")
def snooze(*, seconds: float) -> None:
    raise Snooze(seconds)


@task(name="tests.slow", timeout=0.2, max_attempts=1)
def slow() -> None:
    try:
        time.sleep(5)
    except Exception:
        time.sleep(5)


@task(name="tests.deaf", timeout=0.2, max_attempts=1)
def deaf() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


@task(name="tests.die", max_crashes=2)
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="tests.surrogate")
def surrogate() -> str:
    return "\udc80"


@task(name="tests.context", takes_context=True)
def context(context: Any, *, tag: str) -> dict[str, Any]:
    return {"id": context.task_id, "attempt": context.attempt, "tag": tag}


@task(name="tests.coroutine")
async def coroutine(*, value: int) -> int:
    return value * 2


@task(name="tests.polite", takes_context=True)
def polite(context: Any, *, seconds: float) -> None:
    for _ in range(int(seconds * 20)):
        context.stop_if_cancelled()
        time.sleep(0.05)


@task(name="tests.cut")
def cut() -> None:
    """Ends this process's database connections, as a restart of PostgreSQL does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    connection.connection.pgconn.finish()


@task(name="tests.cancel_itself")
async def cancel_itself() -> None:
    raise asyncio.CancelledError


@task(name="tests.leave_open")
def leave_open() -> None:
    transaction.atomic().__enter__()


@task(name="tests.no_autocommit")
def no_autocommit() -> None:
    transaction.set_autocommit(False)


@task(name="tests.limited", max_running=3)
def limited(**_: Any) -> None:
    pass


@task(name="tests.per_key", key="customer.id", key_max_running=1, max_running=4)
def per_key(**_: Any) -> None:
    pass


@task(name="tests.rated_key", key=lambda payload: payload["customer"], key_rate="1/h")
def rated_key(**_: Any) -> None:
    pass


@task(name="tests.fair", key="customer")
def fair(**_: Any) -> None:
    pass


@task(name="tests.picky", retry_on=(OSError,), discard_on=(FileNotFoundError,), retry_until=3600)
def picky() -> None:
    pass
