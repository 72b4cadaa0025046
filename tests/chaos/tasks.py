"""Tasks of every temper. Each keeps the journal, and answers which attempt of it succeeded."""

import asyncio
import os
import signal
import time
from typing import Any

from queue_core.errors import Discard, RetryLater, Snooze
from queue_core.policies import Backoff
from queue_core.registry import task
from tests.chaos import journal

_QUICK = Backoff(base=0.05, cap=0.3)
# What the nemesis kills is not the task's fault: only tasks that kill their worker themselves use their crashes up.
_POLICY: dict[str, Any] = {"takes_context": True, "backoff": _QUICK, "max_crashes": 100}


def _journal(context: Any) -> Any:
    return journal.run_of(context.task_id, context.attempt, str(context.lease))


def _answer(context: Any) -> dict[str, Any]:
    return {"attempt": context.attempt, "lease": str(context.lease)}


@task(name="tests.chaos.work", **_POLICY)
def work(context: Any, *, seconds: float = 0.0, **_: Any) -> dict[str, Any]:
    with _journal(context):
        time.sleep(seconds)
    return _answer(context)


@task(name="tests.chaos.careful", acks="each", **_POLICY)
def careful(context: Any, *, seconds: float = 0.0) -> dict[str, Any]:
    with _journal(context):
        time.sleep(seconds)
    return _answer(context)


@task(name="tests.chaos.of_customer", key="customer", key_max_running=1, **_POLICY)
def of_customer(context: Any, *, customer: int, seconds: float) -> dict[str, Any]:
    """One at a time for each customer."""
    with _journal(context):
        time.sleep(seconds)
    return _answer(context)


@task(name="tests.chaos.coroutine", **_POLICY)
async def coroutine(context: Any, *, seconds: float) -> dict[str, Any]:
    with _journal(context):
        await asyncio.sleep(seconds)
    return _answer(context)


@task(name="tests.chaos.fail", max_attempts=3, **_POLICY)
def fail(context: Any, *, times: int) -> dict[str, Any]:
    with _journal(context):
        if context.attempt <= times:
            raise ValueError(f"attempt {context.attempt} of {times} that fail")
    return _answer(context)


@task(name="tests.chaos.retry_later", max_attempts=4, **_POLICY)
def retry_later(context: Any, *, seconds: float) -> dict[str, Any]:
    with _journal(context):
        if context.attempt < 3:
            raise RetryLater("not yet", seconds=seconds)
    return _answer(context)


@task(name="tests.chaos.snooze", **_POLICY)
def snooze(context: Any, *, until: float) -> dict[str, Any]:
    """Snoozes until the clock shows `until` (seconds since 1970)."""
    with _journal(context):
        if time.time() < until:
            raise Snooze(0.2)
    return _answer(context)


@task(name="tests.chaos.discard", **_POLICY)
def discard(context: Any) -> None:
    with _journal(context):
        raise Discard("never")


@task(name="tests.chaos.die", takes_context=True, backoff=_QUICK, max_crashes=2)
def die(context: Any, *, times: int) -> dict[str, Any]:
    with _journal(context):
        if context.attempt <= times:
            os.kill(os.getpid(), signal.SIGKILL)
    return _answer(context)


@task(name="tests.chaos.slow", timeout=0.3, max_attempts=2, **_POLICY)
def slow(context: Any) -> None:
    with _journal(context):
        time.sleep(60)


@task(name="tests.chaos.deaf", timeout=0.3, max_attempts=1, **_POLICY)
def deaf(context: Any) -> None:
    with _journal(context):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                continue


@task(name="tests.chaos.polite", **_POLICY)
def polite(context: Any, *, seconds: float) -> dict[str, Any]:
    """Looks whether it was cancelled."""
    with _journal(context):
        for _ in range(int(seconds * 20)):
            context.stop_if_cancelled()
            time.sleep(0.05)
    return _answer(context)
