import json as json_module
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import services
from queue_core.errors import QueueError
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_ids, add_json, add_newest, ids_fit, one_by_one, tell
from queue_core.models import Workflow
from queue_core.services import BulkOutcome
from queue_core.states import WorkflowState

VERBS = {"cancel": "Cancelled", "retry": "Retried"}
_LINE = "{:>8}  {:<36} {:<10} {:>13}  {}"


class Command(BaseCommand):
    help = f"The newest workflows; or cancel or retry some of them: what succeeded is kept. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", nargs="?", default="list", choices=["list", *VERBS])
        add_ids(parser, "a workflow")
        parser.add_argument("--state", choices=WorkflowState.values, help="list those in this state only")
        add_newest(parser)
        add_json(parser)

    def handle(self, *args: Any, verb: str, ids: list[int], json: bool, **options: Any) -> None:
        ids_fit(verb, ids, "workflow")
        if verb == "list":
            return self._list(options["state"], options["newest"], json)
        try:
            outcome = _moved(verb, ids)
        except QueueError as exc:
            raise CommandError(str(exc)) from None
        sentence = outcome.sentence(VERBS[verb], "workflow")
        numbers = {"changed": outcome.changed, "skipped": outcome.skipped}
        return tell(self.stdout, sentence, numbers, as_json=json, complete=not outcome.skipped)

    def _list(self, state: str | None, newest: int, json: bool) -> None:
        found = Workflow.objects.filter(**({"state": state} if state else {})).order_by("-id")[:newest]
        if json:
            self.stdout.write(json_module.dumps({"workflows": [_shown(workflow) for workflow in found]}))
            return
        self.stdout.write(_LINE.format("id", "name", "state", "steps", "created"))
        for one in found:
            steps, created = f"{one.done} of {one.total}", f"{one.created_at:%Y-%m-%d %H:%M:%S}"
            self.stdout.write(_LINE.format(one.pk, one.name[:36], one.state, steps, created))


def _moved(verb: str, ids: list[int]) -> BulkOutcome:
    if verb == "cancel":
        return services.cancel_workflow(ids, by=ACTOR)
    moved, reasons = one_by_one(Workflow, ids, lambda workflow: services.retry_workflow(workflow, by=ACTOR))
    return BulkOutcome(moved, len(reasons), f"left alone: {' '.join(reasons)}".rstrip("."))


def _shown(workflow: Workflow) -> dict[str, Any]:
    return {
        **{"id": workflow.pk, "name": workflow.name, "state": workflow.state},
        **{"done": workflow.done, "total": workflow.total, "created_at": workflow.created_at.isoformat()},
    }
