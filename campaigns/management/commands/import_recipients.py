import csv
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from campaigns import services
from campaigns.errors import CampaignError
from campaigns.management.terminal import bar, find_campaign
from campaigns.models import Campaign
from queue_core.management.verbs import ACTOR


class Command(BaseCommand):
    help = "Import the recipients of a campaign from a CSV file: all of it or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="CSV with a header; one column is called email")
        parser.add_argument("--campaign", type=int, required=True, metavar="ID")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, write nothing")
        parser.add_argument("--errors", metavar="FILE", help="where rejected rows go (default: FILE.errors.csv)")

    def handle(self, *args: Any, file: str, campaign: int, dry_run: bool, errors: str | None, **options: Any) -> None:
        path = Path(file)
        try:
            report = self.run_import(find_campaign(campaign), path, dry_run)
        except OSError as exc:
            raise CommandError(f"Cannot read {file}: {os.strerror(exc.errno or 0)}.") from None
        except CampaignError as exc:
            raise CommandError(f"{file}: {exc} Nothing was imported.") from None
        self.stdout.write(summary(report, dry_run))
        if report.rejected:
            self.stdout.write(self.write_errors(report, Path(errors or f"{file}.errors.csv")))

    def run_import(self, campaign: Campaign, path: Path, dry_run: bool) -> services.Report:
        with path.open("rb") as raw, bar(transient=True) as shown:
            # How many rows there are is known at the end of the file; how far the reading is, at any time.
            task = shown.add_task("Checking" if dry_run else "Importing", total=None)
            report = services.import_recipients(
                campaign,
                raw,
                filename=path.name,
                by=ACTOR,
                dry_run=dry_run,
                progress=lambda rows: shown.update(task, completed=rows),
            )
        return report

    def write_errors(self, report: services.Report, path: Path) -> str:
        try:
            with path.open("w", encoding="utf-8", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(["line", "email", "reason"])
                writer.writerows(report.rejected)
        except OSError as exc:
            return f"The rejected rows could not be written to {path}: {os.strerror(exc.errno or 0)}."
        return f"Rejected rows, with the reason for each: {path}"


def summary(report: services.Report, dry_run: bool) -> str:
    done = "would be added" if dry_run else "added"
    parts = [f"{report.created} {done}"]
    if report.suppressed:
        parts[0] += f" ({report.suppressed} of them suppressed, never mailed)"
    parts += [
        f"{report.duplicates} duplicates in the file",
        f"{report.existing} already in the campaign",
        f"{report.invalid} invalid",
    ]
    blank = f" ({report.blank} blank lines apart)" if report.blank else ""
    return f"{report.records} records{blank}: {', '.join(parts)}."
