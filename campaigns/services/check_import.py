"""check_import: what an import would do, counted without writing anything."""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import CampaignError, ImportOver
from campaigns.intake import Options
from campaigns.models import RecipientImport
from campaigns.services.import_file import opened
from campaigns.services.import_recipients import import_recipients
from campaigns.services.import_task import submit_task

CHECK_FILE = "campaigns.check_import_file"
_SHOWN_REJECTED = 100


def check_import(recipient_import: RecipientImport, *, at_once: bool = False) -> RecipientImport:
    """uploaded -> checking -> uploaded, with the numbers in `checked` or the reason in `error`.

    By a task, or `at_once` while the caller waits. Raises ImportOver when it has begun.
    """
    with transaction.atomic():
        if not lifecycle.move_import("check", recipient_import.pk, checked=None, error=""):
            recipient_import.refresh_from_db()
            raise ImportOver(recipient_import.filename, recipient_import.state, "there is nothing left to check")
        if at_once:
            run_check(recipient_import.pk)
        else:
            submit_task(CHECK_FILE, recipient_import.pk)
    recipient_import.refresh_from_db()
    return recipient_import


def run_check(import_id: int, *, progress: Callable[[int], None] = lambda records: None) -> None:
    """checking -> uploaded. Again, when meanwhile somebody wants it read in another way; nothing, when begun."""
    while job := RecipientImport.objects.filter(pk=import_id).first():
        values = _checked(job, progress)
        with transaction.atomic():
            now = RecipientImport.objects.select_for_update().get(pk=import_id)
            if now.options != job.options and lifecycle.is_checking(now):
                continue
            lifecycle.move_import("end_check", import_id, **values)
            return


def _checked(job: RecipientImport, progress: Callable[[int], None]) -> dict[str, Any]:
    if not lifecycle.is_checking(job):
        return {}
    try:
        with opened(job) as raw:
            report = import_recipients(
                job.campaign,
                raw,
                filename=job.filename,
                options=Options(**job.options),
                dry_run=True,
                progress=progress,
            )
    except CampaignError as exc:
        return {"error": str(exc)}
    rejected = [[line, email, reason] for line, email, reason, _ in report.rejected[:_SHOWN_REJECTED]]
    return {"checked": {**report.numbers(), "rejected": rejected}}
