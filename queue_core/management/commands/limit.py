from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import services
from queue_core.errors import QueueError
from queue_core.management.holding import add_held
from queue_core.management.verbs import ACTOR, WRONG_LINE, tell

_NONE = "none"


class Command(BaseCommand):
    help = (
        "Limit a queue, or a task type in place of what its code says: how many of its tasks run at once, and how many"
        " start in a time, over all workers. Heard within a second."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--max-running", type=_room, metavar="N", help="at once; none lifts the limit")
        parser.add_argument("--rate", metavar="RATE", help="such as 100/m, 5/10s or 2000/h; none lifts the limit")
        add_held(parser)

    def handle(self, *args: Any, queue: str | None, json: bool, **options: Any) -> None:
        given = {name: options[name] for name in ("max_running", "rate") if options[name] is not None}
        if not given:
            raise CommandError("Give --max-running, --rate, or both.", returncode=WRONG_LINE)
        limits = {name: None if value == _NONE else value for name, value in given.items()}
        name, verb = (options["type"], services.limit_type) if queue is None else (queue, services.limit_queue)
        try:
            held: Any = verb(name, **limits, by=ACTOR)
        except QueueError as exc:
            raise CommandError(str(exc)) from None
        rate = str(held.limit.rate or "")
        at_once, starts = f"{held.max_running or 'any number'} at once", f"{rate or 'any number'} in a time"
        elsewhere = "" if queue else "; where it says any number, the limits of the code hold"
        sentence = f"{'Task type' if queue is None else 'Queue'} {name}: {at_once}, {starts}{elsewhere}."
        numbers = {"name": name, "max_running": held.max_running, "rate": rate}
        tell(self.stdout, sentence, numbers, as_json=json, complete=True)


def _room(text: str) -> int | str:
    """What a number may be, the verb knows."""
    if text == _NONE:
        return text
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    raise ArgumentTypeError(f"{text[:40]!r} is neither a whole number nor {_NONE}")
