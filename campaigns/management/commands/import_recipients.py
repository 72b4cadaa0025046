import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.errors import CampaignError
from campaigns.management.reading import add_reading, how_to_read, opened, write_errors
from campaigns.management.terminal import bar, find_campaign
from campaigns.models import Campaign
from queue_core.management.verbs import ACTOR
from queue_core.services.outcome import plural


class Command(BaseCommand):
    help = "Import the recipients of a campaign from a file: all of it or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="CSV, TSV or XLSX")
        parser.add_argument("--campaign", type=int, required=True, metavar="ID")
        add_reading(parser)
        parser.add_argument("--json", action="store_true", help="the report as JSON")
        parser.add_argument("--background", action="store_true", help="leave it to the workers")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, write nothing")
        parser.add_argument("--errors", metavar="FILE", help="where rejected rows go (default: FILE.errors.csv)")

    def handle(self, *args: Any, file: str, campaign: int, errors: str | None, **options: Any) -> None:
        path = Path(file)
        if options["background"] and (options["dry_run"] or errors):
            raise CommandError(
                "--background tells its report in the admin and the API: leave out --dry-run and --errors."
            )
        try:
            if options["background"]:
                self.start(find_campaign(campaign), path, options)
                return
            report = self.run_import(find_campaign(campaign), path, options)
        except OSError as exc:
            raise CommandError(f"Cannot read {file}: {os.strerror(exc.errno or 0)}.") from None
        except CampaignError as exc:
            raise CommandError(f"{file}: {exc} Nothing was imported.") from None
        written = write_errors(report, Path(errors or f"{file}.errors.csv")) if report.rejected else ""
        if options["json"]:
            self.stdout.write(json.dumps({**report.numbers(), "found": report.found, "dry_run": options["dry_run"]}))
            return
        for line in (*report.found["notes"], summary(report, options["dry_run"]), written):
            if line:
                self.stdout.write(line)

    def start(self, campaign: Campaign, path: Path, options: dict[str, Any]) -> None:
        with opened(path) as raw:
            made = services.start_import(campaign, raw, filename=path.name, options=how_to_read(options), by=ACTOR)
        told = {"id": made.pk, "state": made.state}
        self.stdout.write(json.dumps(told) if options["json"] else f"Import {made.pk} is in line for the workers.")

    def run_import(self, campaign: Campaign, path: Path, options: dict[str, Any]) -> services.Report:
        with opened(path) as raw, bar(transient=True) as shown:
            # How many rows there are is known at the end of the file; how far the reading is, at any time.
            task = shown.add_task("Checking" if options["dry_run"] else "Importing", total=None)
            report = services.import_recipients(
                campaign,
                raw,
                filename=path.name,
                by=ACTOR,
                options=how_to_read(options),
                dry_run=options["dry_run"],
                progress=lambda rows: shown.update(task, completed=rows),
            )
        return report


def summary(report: services.Report, dry_run: bool) -> str:
    done = "would be added" if dry_run else "added"
    parts = [f"{report.created} {done}"]
    if report.suppressed:
        parts[0] += f" ({report.suppressed} of them suppressed, never mailed)"
    parts += [
        f"{report.duplicates} twice in the file",
        f"{report.existing} already in the campaign",
        f"{report.invalid} invalid",
    ]
    blank = f" ({plural(report.blank, 'blank line')} apart)" if report.blank else ""
    return f"{plural(report.records, 'record')}{blank}: {', '.join(parts)}."
