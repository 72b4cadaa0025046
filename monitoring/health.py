"""Is this installation alive, and is every part of it ready?"""

from collections.abc import Callable
from typing import Any

from django.db import Error, connection

from queue_core.models import Tick, Worker
from queue_core.services import BellDown, ping_bell

_TICK_LATE_SECONDS = 30


class NotReady(Exception):
    """A part that does not work; the text says what is missing."""


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _bell() -> None:
    try:
        ping_bell()
    except BellDown as exc:
        raise NotReady(f"Valkey does not answer ({exc}); work goes on, a little slower") from None


def _clock() -> None:
    if not Tick.objects.extra(where=["ticked_at > now() - make_interval(secs => %s)"], params=[_TICK_LATE_SECONDS]):
        raise NotReady(f"no tick for {_TICK_LATE_SECONDS} s: run `manage.py scheduler` or a worker")


def _workers() -> None:
    if not Worker.objects.filter(state="online").extra(where=["lease_until > now()"]).exists():
        raise NotReady("no worker beats: run `manage.py worker`")


PARTS: dict[str, Callable[[], None]] = {"database": _database, "valkey": _bell, "clock": _clock, "workers": _workers}


def ready() -> tuple[bool, dict[str, Any]]:
    """(everything works, {part: "ok" or what is wrong})."""
    parts: dict[str, Any] = {}
    for name, check in PARTS.items():
        try:
            check()
            parts[name] = "ok"
        except NotReady as exc:
            parts[name] = str(exc)
        except Error as exc:
            parts[name] = f"PostgreSQL does not answer: {str(exc).strip().partition(chr(10))[0]}"
    return all(state == "ok" for state in parts.values()), parts
