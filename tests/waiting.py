"""Tasks that wait, for workers that run several at once."""

import asyncio
import threading
import time
from typing import Any

from django.db import connection

from queue_core.models import Task
from queue_core.registry import task

together: list[int] = []
_now = 0
_lock = threading.Lock()


def _count(step: int) -> None:
    """Keep the record of how many run at once."""
    global _now
    with _lock:
        _now += step
        together.append(_now)


@task(name="tests.waiting.sleep")
def sleep(*, seconds: float) -> str:
    _count(1)
    time.sleep(seconds)
    _count(-1)
    return threading.current_thread().name


@task(name="tests.waiting.query")
def query() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.1), pg_backend_pid()")
        return int(cursor.fetchone()[1])


@task(name="tests.waiting.spin", timeout=0.3, max_attempts=1)
def spin() -> None:
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            continue


@task(name="tests.waiting.patient", timeout=3600)
def patient() -> None:
    while True:
        time.sleep(0.01)


@task(name="tests.waiting.stuck", timeout=0.3, max_attempts=1)
def stuck() -> None:
    """In one call of C, where no asynchronous exception arrives."""
    time.sleep(60)


@task(name="tests.waiting.pause")
async def pause(*, seconds: float) -> str:
    _count(1)
    await asyncio.sleep(seconds)
    _count(-1)
    return threading.current_thread().name


@task(name="tests.waiting.each", acks="each")
async def each() -> None:
    await asyncio.sleep(0)


@task(name="tests.waiting.late", timeout=0.2, max_attempts=1)
async def late() -> None:
    try:
        await asyncio.sleep(60)
    except Exception:
        await asyncio.sleep(60)


@task(name="tests.waiting.stubborn", timeout=0.3, max_attempts=1)
async def stubborn() -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


@task(name="tests.waiting.blocking", timeout=0.3, max_attempts=1)
async def blocking() -> None:
    """What must not be done in a coroutine."""
    time.sleep(60)


@task(name="tests.waiting.polite", takes_context=True)
async def polite(context: Any) -> None:
    while not context.cancelled:
        await asyncio.sleep(0.02)
    context.stop_if_cancelled()


@task(name="tests.waiting.count")
async def count() -> int:
    return await Task.objects.acount()


@task(name="tests.waiting.cut")
async def cut() -> None:
    """Ends the connection that all coroutines share."""
    from asgiref.sync import sync_to_async

    from tests.tasks import cut as cut_here

    await sync_to_async(cut_here.func)()
    raise ValueError("cut")


@task(name="tests.waiting.stray")
async def stray() -> None:
    """Leaves something behind on the loop."""
    _strays.append(asyncio.ensure_future(asyncio.sleep(60)))


_strays: list[Any] = []
