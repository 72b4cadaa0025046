from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from queue_core import services
from queue_core.management.holding import add_held, hold


class Command(BaseCommand):
    help = "Let a paused queue or task type go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_held(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        hold(self.stdout, "Resumed", services.resume_queue, services.resume_type, options)
