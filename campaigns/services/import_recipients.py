"""import: recipients into a campaign's ledger, by COPY, in one transaction: all of them or nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.db import connection, transaction

from campaigns import lifecycle
from campaigns.errors import WrongState
from campaigns.intake import (
    Columns,
    Options,
    Refused,
    Rows,
    Source,
    find_columns,
    listed_rows,
    open_source,
    read_rows,
)
from campaigns.models import Campaign, RecipientImport, RejectedRow
from campaigns.states import CampaignState
from queue_core.services import Actor, audit
from queue_core.services.outcome import plural

_KEPT_REJECTED_ROWS = 100_000
_PROGRESS_EVERY = 5_000

_STAGING = """
CREATE TEMPORARY TABLE incoming_recipients
    (line int, key text, email text, name text, attributes jsonb) ON COMMIT DROP
"""
_DISTINCT = "SELECT count(DISTINCT key) FROM incoming_recipients"
_NEW = """
SELECT count(DISTINCT i.key), count(DISTINCT s.key)
FROM incoming_recipients i LEFT JOIN suppressions s ON s.key = i.key
WHERE NOT EXISTS (SELECT 1 FROM email_recipients r WHERE r.campaign_id = %s AND r.key = i.key)
"""


@dataclass(slots=True)
class Report:
    """What became of a file or list. `rejected` holds (line, address, reason, cells); a file's header is line 1.
    `found` says how the file was read, see `how_read`."""

    records: int = 0
    created: int = 0
    duplicates: int = 0
    existing: int = 0
    invalid: int = 0
    suppressed: int = 0
    blank: int = 0
    rejected: list[Refused] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)

    def numbers(self) -> dict[str, int]:
        names = ("records", "created", "duplicates", "existing", "invalid", "suppressed", "blank")
        return {name: getattr(self, name) for name in names}


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
        report = _merge(campaign, read_rows(columns, lines), dry_run, progress)
        report.found = how_read(source, columns)
        if not dry_run:
            _record(campaign, filename, by, report)
            _audit(campaign, report, filename, by)
    progress(report.records)
    return report


def how_read(source: Source, columns: Columns) -> dict[str, Any]:
    """`kind`, `encoding`, `delimiter`, `sheet`, `header`, `columns` ([of the file, what it became]), `notes`."""
    return {
        **{name: getattr(source, name) for name in ("kind", "encoding", "delimiter", "sheet", "notes")},
        "header": columns.has_header,
        "columns": [list(pair) for pair in columns.targets()],
    }


def add_recipients(
    campaign: Campaign, people: Sequence[Any], *, source: str = "", by: Actor | None = None, dry_run: bool = False
) -> Report:
    """Add a list of `{"email", "name"?, "attributes"?: {}}` to a draft campaign; the rules are those of a file.

    Goes on record as an import called `source`, if that is given. Raises WrongState.
    """
    with transaction.atomic():
        report = _merge(campaign, listed_rows(people), dry_run, lambda records: None)
        if source and not dry_run:
            _record(campaign, source, by, report)
        if not dry_run:
            _audit(campaign, report, source, by)
    return report


def _merge(campaign: Campaign, rows: Rows, dry_run: bool, progress: Callable[[int], None]) -> Report:
    report = Report()
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if locked.state != CampaignState.DRAFT:
            raise WrongState(locked.name, locked.state, "given more recipients")
        _stage(rows, report, progress)
        (distinct,) = _one(_DISTINCT, [])
        report.duplicates = report.records - report.invalid - distinct
        if dry_run:
            report.created, report.suppressed = _one(_NEW, [campaign.pk])
            transaction.set_rollback(True)
        else:
            report.created, report.suppressed = lifecycle.add_incoming(campaign.pk)
            _drop_staging()
        report.existing = distinct - report.created
    return report


def _stage(rows: Rows, report: Report, progress: Callable[[int], None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_STAGING)
        with cursor.copy("COPY incoming_recipients (line, key, email, name, attributes) FROM STDIN") as copy:
            for row in rows:
                if row is None:
                    report.blank += 1
                    continue
                report.records += 1
                if report.records % _PROGRESS_EVERY == 0:
                    progress(report.records)
                if isinstance(row, Refused):
                    report.invalid += 1
                    if len(report.rejected) < _KEPT_REJECTED_ROWS:
                        report.rejected.append(row)
                else:
                    copy.write_row(row)


def _drop_staging() -> None:
    """At once, not at the commit: the caller's transaction may import another file."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE incoming_recipients")


def _one(sql: str, params: list[Any]) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return tuple(cursor.fetchone())


def _record(campaign: Campaign, filename: str, by: Actor | None, report: Report) -> None:
    made = RecipientImport.objects.create(
        campaign=campaign,
        filename=filename[-255:],
        created_by_id=audit.user_id(by),
        found=report.found,
        **report.numbers(),
    )
    RejectedRow.objects.bulk_create(
        [
            RejectedRow(recipient_import=made, line=line, email=email, reason=reason, cells=list(cells))
            for line, email, reason, cells in report.rejected
        ],
        batch_size=5_000,
    )


def _audit(campaign: Campaign, report: Report, source: str, by: Actor | None) -> None:
    if report.created:
        origin = f" from {source[-100:]}" if source else ""
        message = f"Added {plural(report.created, 'recipient')}{origin}."
        audit.record(Campaign, [campaign.pk], message, by=by, name=campaign.name)
