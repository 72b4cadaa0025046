"""What `pause` and `resume` share."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from queue_core.errors import QueueError
from queue_core.management.verbs import ACTOR, add_json, tell


def add_held(parser: ArgumentParser) -> None:
    held = parser.add_mutually_exclusive_group(required=True)
    held.add_argument("--queue", metavar="NAME", help="one of the setting QUEUES")
    held.add_argument("--type", metavar="NAME", help="of a registered task")
    add_json(parser)


def hold(
    out: OutputWrapper, done: str, queue: Callable[..., Any], task_type: Callable[..., Any], options: dict[str, Any]
) -> None:
    """Call the verb for what was named."""
    is_queue = options["queue"] is not None
    name, verb = (options["queue"], queue) if is_queue else (options["type"], task_type)
    try:
        held = verb(name, by=ACTOR)
    except QueueError as exc:
        raise CommandError(str(exc)) from None
    numbers = {"name": name, "paused_at": held.paused_at and held.paused_at.isoformat()}
    noun = "queue" if is_queue else "task type"
    tell(out, f"{done} the {noun} {name}.", numbers, as_json=options["json"], complete=True)
