import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.models import Suppression
from campaigns.states import SuppressionReason


class Command(BaseCommand):
    help = "Write the list of addresses that are never mailed as CSV; import_suppressions reads it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", help="where to (default: standard output)")
        parser.add_argument("--reason", choices=SuppressionReason.values, help="only these")

    def handle(self, *args: Any, file: str | None, reason: str | None, **options: Any) -> None:
        found = Suppression.objects.filter(reason=reason) if reason else Suppression.objects.all()
        chunks = services.export_suppressions(found)
        if file is None:
            for chunk in chunks:
                self.stdout.write(chunk.decode(), ending="")
            return
        try:
            with Path(file).open("wb") as out:
                out.writelines(chunks)
        except OSError as exc:
            raise CommandError(f"Cannot write {file}: {os.strerror(exc.errno or 0)}.") from None
        self.stderr.write(f"Written to {file}.")
