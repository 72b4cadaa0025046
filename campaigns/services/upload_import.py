"""upload_import, edit_import: a file of recipients put by, to be looked at before anything of it is imported."""

from typing import Any, BinaryIO

from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import ImportOver
from campaigns.intake import Options, Sample, open_source, read_sample
from campaigns.models import Campaign, RecipientImport
from campaigns.services.import_file import forget_later, kept, opened
from campaigns.services.merge import lock_draft
from campaigns.services.report import how_read
from campaigns.states import ImportState
from queue_core.services import Actor, audit


def upload_import(
    campaign: Campaign, raw: BinaryIO, *, filename: str, options: Options | None = None, by: Actor | None = None
) -> RecipientImport:
    """Keep a file for a draft: -> uploaded. Nothing is imported until `begin_import`.

    Columns that cannot be told are no reason to refuse it: `import_sample` says so, `edit_import` maps them. It is
    removed after CAMPAIGNS_IMPORT_KEEP_DAYS. Raises ImportRefused for what is no list, and WrongState; then nothing
    was kept.
    """
    options = options or Options()
    found = _look(raw, options)[1]
    with kept(raw) as file:
        made = record_import(campaign, file, filename, state=ImportState.UPLOADED, options=options, found=found, by=by)
        forget_later(made.pk)
        message = f"Uploaded {made.filename[-100:]}."
        audit.record(Campaign, [campaign.pk], message, by=by, name=campaign.name)
    return made


def record_import(
    campaign: Campaign, file: tuple[str, int], filename: str, *, options: Options, by: Actor | None, **values: Any
) -> RecipientImport:
    """The row of a file that was stored by `kept`, in its transaction. Raises WrongState."""
    lock_draft(campaign.pk)
    stored, size = file
    return RecipientImport.objects.create(
        campaign=campaign,
        filename=filename[-255:],
        file=stored,
        size=size,
        options=options.as_json(),
        created_by_id=audit.user_id(by),
        **values,
    )


def edit_import(recipient_import: RecipientImport, options: Options, *, by: Actor | None = None) -> RecipientImport:
    """uploaded, checking -> uploaded: read it in another way. What a check has counted is forgotten.

    Raises ImportRefused when it cannot be read so; then it is read as before. Raises ImportOver once it has begun.
    """
    with opened(recipient_import) as raw:
        found = _look(raw, options)[1]
    with transaction.atomic():
        values = {"options": options.as_json(), "found": found, "checked": None, "error": ""}
        if not lifecycle.move_import("edit", recipient_import.pk, **values):
            recipient_import.refresh_from_db()
            left = "how it is read cannot be changed any more"
            raise ImportOver(recipient_import.filename, recipient_import.state, left)
        campaign = recipient_import.campaign
        message = f"Changed how {recipient_import.filename[-100:]} is read."
        audit.record(Campaign, [campaign.pk], message, by=by, name=campaign.name)
    recipient_import.refresh_from_db()
    return recipient_import


def import_sample(recipient_import: RecipientImport) -> Sample:
    """The first rows of the stored file as its options read it. Raises ImportRefused when it is gone."""
    with opened(recipient_import) as raw:
        return _look(raw, Options(**recipient_import.options))[0]


def _look(raw: BinaryIO, options: Options) -> tuple[Sample, dict[str, Any]]:
    with open_source(raw, options) as source:
        sample = read_sample(source, options)
        return sample, how_read(source, sample)
