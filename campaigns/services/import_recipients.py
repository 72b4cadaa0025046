"""import: recipients into a campaign's ledger, while the caller waits, in one transaction: all of them or nothing."""

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from django.db import transaction
from django.db.models.functions import Now

from campaigns.intake import Options, Rows, find_columns, listed_rows, open_source, read_rows
from campaigns.models import Campaign, RecipientImport
from campaigns.services.merge import KEPT_REJECTED_ROWS, demand_draft, keep_rejected, lock_draft, merge
from campaigns.services.report import Report, how_read
from campaigns.services.slices import Slices
from queue_core.services import Actor, audit
from queue_core.services.outcome import plural


def import_recipients(  # noqa: PLR0913 - a file, and how it shall be read
    campaign: Campaign,
    raw: BinaryIO,
    *,
    filename: str,
    by: Actor | None = None,
    options: Options | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda records: None,
) -> Report:
    """Add the recipients of a file (CSV and its kin, XLSX) to a draft campaign.

    Addresses are unique per campaign: the first line of an address wins, those already there stay as they are,
    suppressed ones are kept on record and never mailed. With `dry_run` the same report and nothing is written.
    Raises ImportRefused (then nothing was imported) or WrongState. `progress` hears the number of rows read.
    """
    options = options or Options()
    with open_source(raw, options) as source, transaction.atomic():
        columns, lines = find_columns(source, options)
        demand_draft(campaign.pk) if dry_run else lock_draft(campaign.pk)
        made = None if dry_run else _begin(campaign, filename, by)
        rows = read_rows(columns, lines)
        if made is None:
            report = merge(campaign.pk, rows, import_id=None, dry_run=True, progress=progress)
        else:
            report = _merged(campaign, made, rows, progress)
        report.found = how_read(source, columns)
        if made is not None:
            _record(made, report)
            _audit(campaign, report, filename, by)
    progress(report.records)
    return report


def _merged(campaign: Campaign, made: RecipientImport, rows: Rows, progress: Callable[[int], None]) -> Report:
    report = Report()
    with Slices(rows) as slices:
        while piece := slices.take():
            part = merge(campaign.pk, piece.rows, import_id=made.pk, meanwhile=slices.read_ahead)
            report.add(part, kept=KEPT_REJECTED_ROWS)
            progress(report.records)
    return report


def add_recipients(
    campaign: Campaign, people: Sequence[Any], *, source: str = "", by: Actor | None = None, dry_run: bool = False
) -> Report:
    """Add a list of `{"email", "name"?, "attributes"?: {}}` to a draft campaign; the rules are those of a file.

    Goes on record as an import called `source`, if that is given. Raises WrongState.
    """
    with transaction.atomic():
        lock_draft(campaign.pk)
        made = _begin(campaign, source, by) if source and not dry_run else None
        report = merge(campaign.pk, listed_rows(people), import_id=made.pk if made else None, dry_run=dry_run)
        if made is not None:
            _record(made, report)
        if not dry_run:
            _audit(campaign, report, source, by)
    return report


def _begin(campaign: Campaign, filename: str, by: Actor | None) -> RecipientImport:
    return RecipientImport.objects.create(
        campaign=campaign, filename=filename[-255:], created_by_id=audit.user_id(by), started_at=Now()
    )


def _record(made: RecipientImport, report: Report) -> None:
    RecipientImport.objects.filter(pk=made.pk).update(found=report.found, finished_at=Now(), **report.numbers())
    keep_rejected(made.pk, report.rejected)


def _audit(campaign: Campaign, report: Report, source: str, by: Actor | None) -> None:
    if report.created:
        origin = f" from {source[-100:]}" if source else ""
        message = f"Added {plural(report.created, 'recipient')}{origin}."
        audit.record(Campaign, [campaign.pk], message, by=by, name=campaign.name)
