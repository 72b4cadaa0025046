import json as json_module
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import services
from queue_core.errors import QueueError
from queue_core.management.verbs import ACTOR, EXIT_CODES, add_ids, add_json, ids_fit, one_by_one, tell
from queue_core.models import Schedule
from queue_core.services import BulkOutcome

VERBS = {"pause": "Paused", "resume": "Resumed", "run-now": "Ran"}
_LINE = "{:>6}  {:<28} {:<28} {:<20}  {}"


class Command(BaseCommand):
    help = f"The schedules; or pause, resume or run some of them now, beside their rhythm. {EXIT_CODES}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", nargs="?", default="list", choices=["list", *VERBS])
        add_ids(parser, "a schedule")
        add_json(parser)

    def handle(self, *args: Any, verb: str, ids: list[int], json: bool, **options: Any) -> None:
        ids_fit(verb, ids, "schedule")
        if verb == "list":
            return self._list(json)
        try:
            outcome = _moved(verb, ids)
        except QueueError as exc:
            raise CommandError(str(exc)) from None
        sentence = outcome.sentence(VERBS[verb], "schedule")
        numbers = {"changed": outcome.changed, "skipped": outcome.skipped}
        return tell(self.stdout, sentence, numbers, as_json=json, complete=not outcome.skipped)

    def _list(self, json: bool) -> None:
        schedules = Schedule.objects.order_by("name")
        if json:
            self.stdout.write(json_module.dumps({"schedules": [_shown(schedule) for schedule in schedules]}))
            return
        self.stdout.write(_LINE.format("id", "name", "task", "next", "rhythm"))
        for one in schedules:
            due = "paused" if one.paused else f"{one.next_fire_at:%Y-%m-%d %H:%M:%S}"
            self.stdout.write(_LINE.format(one.pk, one.name[:28], one.task[:28], due, one.description))


def _moved(verb: str, ids: list[int]) -> BulkOutcome:
    if verb == "run-now":
        ran, reasons = one_by_one(Schedule, ids, lambda schedule: services.run_schedule_now(schedule, by=ACTOR))
        return BulkOutcome(ran, len(reasons), f"left alone: {' '.join(reasons)}".rstrip("."))
    act = services.pause_schedule if verb == "pause" else services.resume_schedule
    return act(ids, by=ACTOR)


def _shown(schedule: Schedule) -> dict[str, Any]:
    return {
        **{"id": schedule.pk, "name": schedule.name, "task": schedule.task, "description": schedule.description},
        **{"paused": schedule.paused, "next_fire_at": None if schedule.paused else schedule.next_fire_at.isoformat()},
        **{"last_fire_at": schedule.last_fire_at and schedule.last_fire_at.isoformat()},
        **{"last_task": schedule.last_task_id},
    }
