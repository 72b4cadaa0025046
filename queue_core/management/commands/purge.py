from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import conf, registry, services
from queue_core.errors import QueueError, UnknownQueue
from queue_core.management.bulk import ask, tell_preview
from queue_core.management.verbs import ACTOR, add_json, tell
from queue_core.search import Query, Term, Value


class Command(BaseCommand):
    help = "Cancel everything that waits in a queue, also what is scheduled for later; what runs goes on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("queue", help="one of the setting QUEUES")
        parser.add_argument("--dry-run", action="store_true", help="say how many and which, cancel none")
        parser.add_argument("--yes", action="store_true", help="do not ask; needed where nobody can answer")
        add_json(parser)

    def handle(self, *args: Any, queue: str, dry_run: bool, yes: bool, json: bool, **options: Any) -> None:
        try:
            seen = services.preview_bulk("cancel", query=_waiting(queue))
            if dry_run:
                return tell_preview(self, seen, json)
            if seen.count or not seen.is_exact:
                ask(self, "cancel", seen, yes)
            cancelled = _purge(queue)
        except QueueError as exc:
            raise CommandError(str(exc)) from None
        sentence = services.BulkOutcome(cancelled, 0, "").sentence("Cancelled")
        return tell(self.stdout, sentence, {"cancelled": cancelled}, as_json=json, complete=True)


def _waiting(queue: str) -> str:
    """The search for what a purge cancels: not the tasks of our own workings. Raises UnknownQueue."""
    if queue not in conf.queues():
        raise UnknownQueue(queue, conf.queues())
    own = tuple(Value(name) for name in registry.internal())
    terms = [Term("queue", (Value(queue),)), Term("state", (Value("waiting"),))]
    return str(Query((*terms, *([Term("name", own, is_negated=True)] if own else []))))


def _purge(queue: str) -> int:
    """One call of the verb does so many at most."""
    cancelled, more = 0, True
    while more:
        outcome = services.purge_queue(queue, by=ACTOR)
        cancelled, more = cancelled + outcome.changed, bool(outcome.skipped)
    return cancelled
