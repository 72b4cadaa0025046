from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import services
from queue_core.errors import QueueError
from queue_core.management.verbs import ACTOR, add_json, task_id, tell
from queue_core.services.scale_pool import SIZES


class Command(BaseCommand):
    help = "Have a pool (a running `manage.py worker`) keep so many worker processes; `manage.py workers` shows pools."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("pool", type=_pool, help="its id or its name")
        parser.add_argument("wanted", type=_size, metavar="N", help=f"{SIZES[0]} to {SIZES[-1]}")
        add_json(parser)

    def handle(self, *args: Any, pool: int | str, wanted: int, json: bool, **options: Any) -> None:
        try:
            scaled = services.scale_pool(_find(pool), wanted, by=ACTOR)
        except QueueError as exc:
            raise CommandError(str(exc)) from None
        sentence = f"The pool {scaled.name} is to have {scaled.wanted} processes."
        tell(self.stdout, sentence, {"id": scaled.pk, "wanted": scaled.wanted}, as_json=json, complete=True)


def _pool(text: str) -> int | str:
    return task_id(text) if text.isdigit() else text


def _find(pool: int | str) -> int:
    """The id of a pool: its name, host and process, may be that of two in containers of one host name."""
    if isinstance(pool, int):
        return pool
    found = [one.pk for one in services.live_pools() if one.name == pool]
    if len(found) > 1:
        raise CommandError(f"Several pools are named {pool}: give the id, {' or '.join(map(str, found))}.")
    if not found:
        raise services.PoolGone(pool)
    return found[0]


def _size(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) in SIZES:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a number from {SIZES[0]} to {SIZES[-1]}")
