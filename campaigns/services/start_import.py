"""start_import, begin_import: a file of recipients that workers import."""

from typing import BinaryIO

from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import ImportOver, ImportRefused
from campaigns.intake import Options, find_columns, open_source
from campaigns.models import Campaign, RecipientImport
from campaigns.services.import_file import kept
from campaigns.services.import_task import submit_task
from campaigns.services.merge import lock_draft
from campaigns.services.report import how_read
from campaigns.services.run_import import run_import
from campaigns.services.upload_import import import_sample, record_import
from campaigns.states import ImportState
from queue_core.services import Actor, audit

IMPORT_FILE = "campaigns.import_file"


def start_import(
    campaign: Campaign, raw: BinaryIO, *, filename: str, options: Options | None = None, by: Actor | None = None
) -> RecipientImport:
    """Import a file into a draft in the background: -> waiting. The rules are those of `import_recipients`.

    The file is looked at first and kept in the default storage for CAMPAIGNS_IMPORT_KEEP_DAYS. Until the import is
    over the campaign cannot be launched. Raises ImportRefused or WrongState; then nothing was kept.
    """
    options = options or Options()
    with open_source(raw, options) as source:
        found = how_read(source, find_columns(source, options)[0])
    with kept(raw) as file:
        made = record_import(campaign, file, filename, state=ImportState.WAITING, options=options, found=found, by=by)
        _submit(made, by)
    return made


def begin_import(
    recipient_import: RecipientImport, *, at_once: bool = False, by: Actor | None = None
) -> RecipientImport:
    """uploaded, failed -> waiting: import a file that was put by, a failed one from where it stopped.

    By a task, or `at_once` while the caller waits: all of it or nothing. Raises ImportRefused, WrongState (the
    campaign is no draft any more) or ImportOver.
    """
    job, campaign = recipient_import, recipient_import.campaign
    problem = import_sample(job).problem
    if problem:
        raise ImportRefused(problem)
    with transaction.atomic():
        lock_draft(campaign.pk)
        if not lifecycle.move_import("begin", job.pk, error=""):
            job.refresh_from_db()
            raise ImportOver(job.filename, job.state, "it cannot be begun again")
        if at_once:
            audit.record(Campaign, [campaign.pk], f"Importing {job.filename[-100:]}.", by=by, name=campaign.name)
            run_import(job.pk)
        else:
            _submit(job, by)
    job.refresh_from_db()
    return job


def _submit(job: RecipientImport, by: Actor | None) -> None:
    submit_task(IMPORT_FILE, job.pk)
    message = f"Importing {job.filename[-100:]} in the background."
    audit.record(Campaign, [job.campaign_id], message, by=by, name=job.campaign.name)
