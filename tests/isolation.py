"""Tasks that are hard on their process."""

import ctypes
import logging
import os
import signal
import time
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from queue_core.registry import task


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@task(name="tests.isolation.pid")
def pid() -> list[int]:
    return [os.getpid(), _backend()]


@task(name="tests.isolation.pid_async")
async def pid_async() -> list[int]:
    return [os.getpid(), await sync_to_async(_backend)()]


@task(name="tests.isolation.alone", isolate=True)
def alone() -> int:
    return os.getpid()


@task(name="tests.isolation.die")
def die(*, how: str) -> None:
    if how == "segfault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # pytest's faulthandler would tell the whole story
        ctypes.string_at(0)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(3)
    else:
        bytearray(1024 * 2**20)


@task(name="tests.isolation.picky_death", retry_on=(OSError,))
def picky_death() -> None:
    os._exit(1)


@task(name="tests.isolation.talk", takes_context=True)
def talk(context: Any) -> None:
    context.log("one")
    context.progress(1, 2, "half")
    logging.getLogger("app").warning("two")


@task(name="tests.isolation.deaf", timeout=60)
def deaf() -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue
