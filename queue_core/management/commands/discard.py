from argparse import ArgumentParser
from typing import Any

from queue_core import services
from queue_core.management.bulk import only_one, only_with_query
from queue_core.management.by_ids import VerbCommand
from queue_core.management.groups import add_group, group_of
from queue_core.management.verbs import ACTOR, EXIT_CODES, tell
from queue_core.services.bulk_verbs import LETTERS


class Command(VerbCommand):
    help = f"Close dead letters, or all of a group, without running their tasks again. {EXIT_CODES}"
    verb, done, target = "discard", "Discarded", LETTERS

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_group(parser)

    def act(self, ids: list[int], **params: Any) -> services.BulkOutcome:
        return services.discard(ids, **params)

    def handle(self, *args: Any, ids: list[int], query: str | None, **options: Any) -> None:
        if options["group"] is None:
            return super().handle(*args, ids=ids, query=query, **options)
        only_one(ids=ids, group=options["group"], query=query)
        only_with_query(options, "dry_run", "yes")
        outcome = services.discard_group(group_of(options["group"]), by=ACTOR)
        sentence, numbers = outcome.sentence(self.done, self.target.noun), self.numbers(outcome)
        return tell(self.stdout, sentence, numbers, as_json=options["json"], complete=not outcome.skipped)
