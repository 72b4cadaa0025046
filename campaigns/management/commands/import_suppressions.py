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
from queue_core.services.outcome import plural


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
        summary = _summary(report, options["dry_run"])
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


def _summary(report: services.Report, dry_run: bool) -> str:
    parts = [
        f"{report.created} {'would be suppressed' if dry_run else 'suppressed'}",
        f"{report.duplicates} twice in the file",
        f"{report.existing} on the list before",
        f"{report.invalid} invalid",
    ]
    blank = f" ({plural(report.blank, 'blank line')} apart)" if report.blank else ""
    return f"{plural(report.records, 'record')}{blank}: {', '.join(parts)}."
