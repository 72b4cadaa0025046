import json as json_module
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import services
from queue_core.errors import QueueError
from queue_core.management.verbs import ACTOR, add_json, moment, task_id, tell
from queue_core.states import OnFailure

_OPTIONS = (
    "queue", "priority", "delay", "run_at", "expires_at", "max_attempts", "tags", "unique_key", "key", "depends_on",
    "on_parent_failure",
)  # fmt: skip


class Command(BaseCommand):
    help = "Ask for a task. What is left out is as the registered task has it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="of a registered task")
        parser.add_argument("payload", nargs="?", default="{}", help="its arguments as JSON, such as '{\"photo\": 7}'")
        parser.add_argument("--queue")
        parser.add_argument("--priority", type=int, help="-100 to 100; a higher one is taken first")
        parser.add_argument("--delay", type=float, metavar="SECONDS", help="not before so many seconds from now")
        parser.add_argument("--run-at", type=moment, metavar="TIME", help="not before: 2026-12-24T18:00 or …+01:00")
        parser.add_argument("--expires-at", type=moment, metavar="TIME", help="not started by then, it never is")
        parser.add_argument("--max-attempts", type=int, metavar="N", help="how often it may be tried, all in all")
        parser.add_argument("--tags", nargs="+", metavar="TAG", help="words to find it by")
        parser.add_argument(
            "--unique-key", metavar="KEY", help="at most one live task of this name has it; a second answers the first"
        )
        parser.add_argument("--key", help="whose task it is: for fair turns, and for limits by key")
        parser.add_argument(
            "--depends-on", type=task_id, nargs="+", metavar="ID", help="tasks that must end before this one"
        )
        parser.add_argument(
            "--on-parent-failure",
            choices=OnFailure.values,
            help="when one of those does not succeed: cancel this one too (as it is without this), or run it",
        )
        add_json(parser)

    def handle(self, *args: Any, name: str, payload: str, json: bool, **options: Any) -> None:
        given = {key: options[key] for key in _OPTIONS if options[key] is not None}
        try:
            made = services.submit(name, parsed(payload), by=ACTOR, **given)
        except QueueError as exc:
            raise CommandError(str(exc)) from None
        sentence = (
            f"Submitted {name} as task {made.id}."
            if made.created
            else f"Nothing new: task {made.id} has this unique key and is not finished yet."
        )
        tell(self.stdout, sentence, {"id": made.id, "created": made.created}, as_json=json, complete=True)


def parsed(text: str) -> dict[str, Any]:
    """A JSON object from the command line; CommandError says what to correct."""
    try:
        value = json_module.loads(text)
    except RecursionError:
        raise CommandError("The payload is nested too deeply.") from None
    except ValueError as exc:
        raise CommandError(
            f"The payload is not JSON ({exc}). Quote it for the shell, such as '{{\"photo\": 7}}'."
        ) from None
    if not isinstance(value, dict):
        raise CommandError("The payload must be one JSON object, such as '{\"photo\": 7}'.")
    return value
