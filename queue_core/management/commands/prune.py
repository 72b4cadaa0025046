import json as json_module
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from queue_core.management.verbs import seconds as time_span
from queue_core.services import forget, prune


class Command(BaseCommand):
    help = "Forget finished tasks past their keep (setting QUEUE_KEEP_DAYS) with their history, and workers long ended."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=time_span, default=3600.0, help="stop after so long (default: an hour)")
        parser.add_argument("--json", action="store_true", help="for scripts")

    def handle(self, *args: Any, seconds: float, json: bool, **options: Any) -> None:
        pruned = prune(seconds=seconds)
        others = forget(seconds=seconds)
        told = ", ".join(f"{count} {name}" for name, count in others.items() if count)
        sentence = f"Forgot {pruned} finished tasks{f'; and {told}' if told else ''}."
        self.stdout.write(json_module.dumps({"pruned": pruned, **others}) if json else sentence)
