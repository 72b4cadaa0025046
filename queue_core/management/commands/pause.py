from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from queue_core import services
from queue_core.management.holding import add_held, hold


class Command(BaseCommand):
    help = "Start no more tasks of a queue or of a task type, from within a second on; what runs goes on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_held(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        hold(self.stdout, "Paused", services.pause_queue, services.pause_type, options)
