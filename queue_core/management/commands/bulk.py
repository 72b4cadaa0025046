import json as json_module
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from queue_core import services
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_ids, add_json, add_newest, ids_fit, one_by_one, tell
from queue_core.models import BulkOperation
from queue_core.services import BulkOutcome

_LINE = "{:>8}  {:<14} {:<9} {:>6} {:>10} {:>10}  {}"


class Command(BaseCommand):
    help = f"The newest bulk operations; or stop some of them: what is done stays done. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", nargs="?", default="list", choices=["list", "stop"])
        add_ids(parser, "a bulk operation")
        add_newest(parser)
        add_json(parser)

    def handle(self, *args: Any, verb: str, ids: list[int], newest: int, json: bool, **options: Any) -> None:
        ids_fit(verb, ids, "bulk operation")
        if verb == "list":
            return self._list(newest, json)
        asked, reasons = one_by_one(BulkOperation, ids, lambda one: services.stop_bulk(one.pk, by=ACTOR))
        outcome = BulkOutcome(asked, len(reasons), f"left alone: {' '.join(reasons)}".rstrip("."))
        sentence = outcome.sentence("Asked to stop", "bulk operation")
        numbers = {"changed": asked, "skipped": outcome.skipped}
        return tell(self.stdout, sentence, numbers, as_json=json, complete=not reasons)

    def _list(self, newest: int, json: bool) -> None:
        found = BulkOperation.objects.for_list().order_by("-id")[:newest]
        if json:
            self.stdout.write(json_module.dumps({"operations": [_shown(one) for one in found]}))
            return
        self.stdout.write(_LINE.format("id", "verb", "state", "done", "changed", "left", "works on"))
        for one in found:
            left, done = one.skipped + one.failed, f"{one.progress:.0%}"
            self.stdout.write(_LINE.format(one.pk, one.verb, one.state, done, one.changed, left, one.scope[:60]))


def _shown(one: BulkOperation) -> dict[str, Any]:
    return {
        **{"id": one.pk, "verb": one.verb, "target": one.target, "scope": one.scope, "state": one.state},
        **{"progress": one.progress, "matched": one.matched, "is_exact": one.is_exact},
        **{"seen": one.seen, "changed": one.changed, "skipped": one.skipped, "failed": one.failed},
        **{"error": one.error, "user": one.user.get_username() if one.user else None, "door": one.door},
    }
