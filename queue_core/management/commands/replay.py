from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from queue_core import registry, services
from queue_core.management.bulk import add_query, only_one, only_with_query, work
from queue_core.management.groups import add_group, group_of
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_ids, add_json, tell
from queue_core.models import Task
from queue_core.services import BulkOutcome
from queue_core.states import FINAL


class Command(BaseCommand):
    help = f"Run tasks that are over again, as new ones; or all that failed in the same way. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_ids(parser, "a task that is over")
        add_group(parser)
        add_query(parser)
        add_json(parser)

    def handle(self, *args: Any, ids: list[int], group: str | None, dry_run: bool, json: bool, **options: Any) -> None:
        query = options["query"]
        only_one(ids=ids, group=group, query=query)
        if query is not None:
            return work(self, "replay", {**options, "dry_run": dry_run, "json": json}, query=query)
        only_with_query(options, "yes")
        outcome = replay_group(group, dry_run) if group else replay_tasks(ids, dry_run)
        sentence = outcome.sentence("Would replay" if dry_run else "Replayed")
        numbers = {"replayed": outcome.changed, "skipped": outcome.skipped, "dry_run": dry_run}
        return tell(self.stdout, sentence, numbers, as_json=json, complete=not outcome.skipped)


def replay_tasks(ids: list[int], dry_run: bool) -> BulkOutcome:
    over = Task.objects.filter(pk__in=ids, state__in=FINAL).exclude(name__in=registry.internal())
    changed = over.count() if dry_run else len(services.replay(ids, by=ACTOR))
    reason = f"not there, or not over, or {services.KEY_IS_TAKEN}, or {services.IS_INTERNAL}"
    return BulkOutcome(changed, len(set(ids)) - changed, reason)


def replay_group(mark: str, dry_run: bool) -> BulkOutcome:
    group = group_of(mark)
    return BulkOutcome(group.open, 0, "") if dry_run else services.replay_group(group, by=ACTOR)
