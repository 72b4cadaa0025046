"""What the commands share that do a verb to rows by their ids, or by `--query` to all that match."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from queue_core.bulk import Target
from queue_core.errors import QueueError
from queue_core.management.bulk import add_query, only_one, only_with_query, work
from queue_core.management.verbs import ACTOR, add_ids, add_json, tell
from queue_core.services import BulkOutcome
from queue_core.services.bulk_verbs import TASKS


class VerbCommand(BaseCommand):
    """`verb` is the bulk verb of the same meaning, `done` its past tense, `param` the name of what it takes besides."""

    verb: ClassVar[str]
    done: ClassVar[str]
    target: ClassVar[Target] = TASKS
    param: ClassVar[str] = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_ids(parser, f"a {self.target.noun}")
        add_query(parser)
        add_json(parser)

    def act(self, ids: list[int], **params: Any) -> BulkOutcome:
        """The verb on ids."""
        raise NotImplementedError

    def handle(self, *args: Any, ids: list[int], query: str | None, **options: Any) -> None:
        only_one(ids=ids, query=query)
        params = {self.param: options[self.param]} if self.param else {}
        if query is not None:
            return work(self, self.verb, options, query=query, params=params, target=self.target.label)
        only_with_query(options, "dry_run", "yes")
        try:
            outcome = self.act(ids, by=ACTOR, **params)
        except QueueError as exc:
            raise CommandError(str(exc)) from None
        sentence, numbers = outcome.sentence(self.done, self.target.noun), self.numbers(outcome)
        return tell(self.stdout, sentence, numbers, as_json=options["json"], complete=not outcome.skipped)

    def numbers(self, outcome: BulkOutcome) -> dict[str, int]:
        return {self.done.lower(): outcome.changed, "skipped": outcome.skipped}
