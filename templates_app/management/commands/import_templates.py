import json
import os
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from templates_app import services
from templates_app.errors import FolderRefused

_NOTE_MAX = 200


class Command(BaseCommand):
    help = "Make templates of the files of a folder, and new versions of those that changed: all of them or none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", help="holds NAME.html or NAME.mjml, NAME.subject.txt and, if wanted, NAME.txt")
        parser.add_argument("--note", default="", help="what changed, for the list of versions")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, write nothing")
        parser.add_argument("--json", action="store_true", help="the outcome as JSON")

    def handle(self, *args: Any, folder: str, note: str, dry_run: bool, **options: Any) -> None:
        if len(note) > _NOTE_MAX or "\x00" in note:
            raise CommandError(f"--note takes a text of at most {_NOTE_MAX} characters.")
        if not os.path.isdir(folder):
            raise CommandError(f"{folder[:200]!r} is no folder.")
        try:
            done = services.import_templates(
                services.read_templates(Path(folder)), note=note, dry_run=dry_run, by=services.Actor(None, "command")
            )
        except FolderRefused as exc:
            raise CommandError("\n".join([*exc.faults, "Nothing was imported."])) from None
        if options["json"]:
            self.stdout.write(json.dumps({"templates": [asdict(one) for one in done], "dry_run": dry_run}))
            return
        would = "would be " if dry_run else ""
        for one in done:
            self.stdout.write(f"{one.name}: {would}{one.outcome}, version {one.version}")
