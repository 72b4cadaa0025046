"""Tasks that log, report how far they are, and submit others."""

import asyncio
import json
import logging
import time
from typing import Any

from queue_core.registry import task
from queue_core.services import submit

logger = logging.getLogger("photos")


class Unreadable:
    def __str__(self) -> str:
        return str(1 / 0)


@task(name="tests.telling.say", takes_context=True)
def say(context: Any, *, words: list[str]) -> None:
    for word in words:
        logger.info(word)
    context.log("by hand", logging.DEBUG)


@task(name="tests.telling.flood")
def flood(*, lines: int, length: int) -> None:
    for _ in range(lines):
        logger.info("x" * length)


@task(name="tests.telling.odd", takes_context=True)
def odd(context: Any) -> None:
    logger.info("a\x00b \udc80")
    logger.info({"not": "a string"})
    logger.info("%d things", "many")
    try:
        raise ValueError("inside")
    except ValueError:
        logger.exception("caught")
    context.log(Unreadable())
    context.log(None, "loud")


@task(name="tests.telling.murmur")
async def murmur(*, word: str) -> None:
    logger.info("%s begins", word)
    await asyncio.sleep(0.1)
    logger.info("%s ends", word)


@task(name="tests.telling.slow_say")
def slow_say(*, word: str, seconds: float = 0.1) -> None:
    logger.info("%s begins", word)
    time.sleep(seconds)
    logger.info("%s ends", word)


@task(name="tests.telling.count", takes_context=True)
def count(context: Any, *, steps: int, pause: float) -> None:
    for step in range(1, steps + 1):
        time.sleep(pause)
        context.progress(step, steps, f"step {step}")


@task(name="tests.telling.report", takes_context=True, max_attempts=1)
def report(context: Any, *, done: str, total: float | None = None) -> None:
    context.log("reporting")
    context.progress(json.loads(done), total)


@task(name="tests.telling.fail_halfway", takes_context=True, max_attempts=1)
def fail_halfway(context: Any) -> None:
    context.progress(1, 2)
    raise ValueError("halfway")


@task(name="tests.telling.parent")
def parent() -> None:
    submit("tests.noop")
