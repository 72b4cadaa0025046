from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import services
from queue_core.fingerprints import FINGERPRINT
from queue_core.management.bulk import add_query, only_one, only_with_query, work
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_json, task_id, tell
from queue_core.models import DeadLetterGroup, Task
from queue_core.services import BulkOutcome
from queue_core.states import FINAL


class Command(BaseCommand):
    help = f"Run tasks that are over again, as new ones; or all that failed in the same way. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=task_id, metavar="ID", help="of a task that is over")
        parser.add_argument(
            "--group", type=fingerprint, metavar="FINGERPRINT", help="every open dead letter of this group"
        )
        add_query(parser)
        add_json(parser)

    def handle(self, *args: Any, ids: list[int], group: str | None, dry_run: bool, json: bool, **options: Any) -> None:
        query = options["query"]
        only_one(ids=ids, group=group, query=query)
        if query is not None:
            return work(self, "replay", query, as_json=json, dry_run=dry_run, yes=options["yes"])
        only_with_query(options, "yes")
        outcome = replay_group(group, dry_run) if group else replay_tasks(ids, dry_run)
        sentence = outcome.sentence("Would replay" if dry_run else "Replayed")
        numbers = {"replayed": outcome.changed, "skipped": outcome.skipped, "dry_run": dry_run}
        return tell(self.stdout, sentence, numbers, as_json=json, complete=not outcome.skipped)


def fingerprint(text: str) -> str:
    if FINGERPRINT.fullmatch(text):
        return text
    raise ArgumentTypeError(f"{text!r} is not the fingerprint of a group: those have 32 hexadecimal digits")


def replay_tasks(ids: list[int], dry_run: bool) -> BulkOutcome:
    over = Task.objects.filter(pk__in=ids, state__in=FINAL)
    changed = over.count() if dry_run else len(services.replay(ids, by=ACTOR))
    return BulkOutcome(changed, len(set(ids)) - changed, f"not there, or not over, or {services.KEY_IS_TAKEN}")


def replay_group(mark: str, dry_run: bool) -> BulkOutcome:
    group = DeadLetterGroup.objects.filter(pk=mark).first()
    if group is None:
        latest = DeadLetterGroup.objects.order_by("-is_open", "-last_seen")[:5]
        known = "".join(f"\n  {one.fingerprint}  {one.open} open  {one.name}: {one.error[:80]}" for one in latest)
        raise CommandError(f"There is no group {mark}. The latest:{known or ' none yet.'}")
    return BulkOutcome(group.open, 0, "") if dry_run else services.replay_group(group, by=ACTOR)
