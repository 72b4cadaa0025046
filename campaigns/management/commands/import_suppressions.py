import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.errors import CampaignError
from campaigns.management.reading import add_reading, how_to_read, opened, write_errors
from campaigns.management.terminal import bar
from campaigns.states import SuppressionReason
from queue_core.management.verbs import ACTOR


class Command(BaseCommand):
    help = "Put the addresses of a file on the list of those that are never mailed: all of them or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="CSV, TSV or XLSX")
        parser.add_argument(
            "--reason",
            choices=SuppressionReason.values,
            default=SuppressionReason.MANUAL,
            help="where the file has no column `reason`",
        )
        parser.add_argument("--source", default="", help="where the file has no column `source`")
        add_reading(parser)
        parser.add_argument("--json", action="store_true", help="the report as JSON")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, write nothing")
        parser.add_argument("--errors", metavar="FILE", help="where rejected rows go (default: FILE.errors.csv)")

    def handle(self, *args: Any, file: str, errors: str | None, **options: Any) -> None:
        if len(options["source"]) > services.SOURCE_MAX or "\x00" in options["source"]:
            raise CommandError(f"--source takes a text of at most {services.SOURCE_MAX} characters.")
        try:
            report = self.run_import(Path(file), options)
        except OSError as exc:
            raise CommandError(f"Cannot read {file}: {os.strerror(exc.errno or 0)}.") from None
        except CampaignError as exc:
            raise CommandError(f"{file}: {exc} Nothing was imported.") from None
        written = write_errors(report, Path(errors or f"{file}.errors.csv")) if report.rejected else ""
        if options["json"]:
            self.stdout.write(json.dumps({**report.numbers(), "found": report.found, "dry_run": options["dry_run"]}))
            return
        done = "would be suppressed" if options["dry_run"] else "suppressed"
        numbers = f"{report.created} {done}, {report.duplicates} duplicates in the file"
        summary = (
            f"{report.records} records: {numbers}, {report.existing} on the list before, {report.invalid} invalid."
        )
        for line in (*report.found["notes"], summary, written):
            if line:
                self.stdout.write(line)

    def run_import(self, path: Path, options: dict[str, Any]) -> services.Report:
        with opened(path) as raw, bar(transient=True) as shown:
            task = shown.add_task("Checking" if options["dry_run"] else "Importing", total=None)
            return services.import_suppressions(
                raw,
                options=how_to_read(options),
                reason=options["reason"],
                source=options["source"],
                dry_run=options["dry_run"],
                by=ACTOR,
                progress=lambda rows: shown.update(task, completed=rows),
            )
