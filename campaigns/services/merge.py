"""Rows into a campaign's ledger: staged by COPY, then told apart and merged by one statement."""

from collections.abc import Callable, Iterable, Sequence

from django.db import connection

from campaigns import lifecycle
from campaigns.errors import WrongState
from campaigns.intake import Accepted, Refused
from campaigns.models import Campaign, RejectedRow
from campaigns.services.report import Report
from campaigns.states import CampaignState

KEPT_REJECTED_ROWS = 100_000
_PROGRESS_EVERY = 5_000

_STAGING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_recipients
    (line int, key text, email text, name text, attributes jsonb) ON COMMIT DROP
"""
_COPY = "COPY incoming_recipients (line, key, email, name, attributes) FROM STDIN"


def lock_draft(campaign_id: int) -> Campaign:
    """Until the transaction ends nobody else launches it or changes its audience. Raises WrongState."""
    return _draft(Campaign.objects.select_for_update().get(pk=campaign_id))


def demand_draft(campaign_id: int) -> Campaign:
    """For what only looks. Raises WrongState."""
    return _draft(Campaign.objects.get(pk=campaign_id))


def _draft(campaign: Campaign) -> Campaign:
    if campaign.state != CampaignState.DRAFT:
        raise WrongState(campaign.name, campaign.state, "given other recipients")
    return campaign


def merge(
    campaign_id: int,
    rows: Iterable[Accepted | Refused | None],
    *,
    import_id: int | None,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda records: None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Report:
    """Add rows, as part of an import that has one; in a transaction that holds `lock_draft`. What became of them.

    With `dry_run` the same report and the ledger untouched. `meanwhile` is called when all rows are staged and
    PostgreSQL alone has work to do.
    """
    report = Report()
    with connection.cursor() as cursor:
        cursor.execute(_STAGING)
        with cursor.copy(_COPY) as copy:
            for row in rows:
                if _take(row, report):
                    copy.write_row(row)
                if report.records % _PROGRESS_EVERY == 0 and row is not None:
                    progress(report.records)
    meanwhile()
    tell_apart = lifecycle.preview_incoming if dry_run else lifecycle.add_incoming
    report.existing, report.created, report.suppressed = tell_apart(campaign_id, import_id)
    report.duplicates = report.records - report.invalid - report.existing - report.created
    with connection.cursor() as cursor:
        # At once, not at the commit: the caller's transaction may merge more.
        cursor.execute("TRUNCATE incoming_recipients")
    return report


def _take(row: Accepted | Refused | None, report: Report) -> bool:
    """Count a row; whether it goes on."""
    if row is None:
        report.blank += 1
        return False
    report.records += 1
    if isinstance(row, Refused):
        report.invalid += 1
        if len(report.rejected) < KEPT_REJECTED_ROWS:
            report.rejected.append(row)
        return False
    return True


def keep_rejected(import_id: int, rejected: Sequence[Refused]) -> None:
    RejectedRow.objects.bulk_create(
        [
            RejectedRow(recipient_import_id=import_id, line=line, email=email, reason=reason, cells=list(cells))
            for line, email, reason, cells in rejected
        ],
        batch_size=5_000,
    )
