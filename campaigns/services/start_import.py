"""start_import: a file of recipients put by, and a task in line that imports it."""

import uuid
from typing import BinaryIO

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from campaigns.intake import Options, find_columns, open_source
from campaigns.models import Campaign, RecipientImport
from campaigns.services.merge import lock_draft
from campaigns.services.report import how_read
from campaigns.states import ImportState
from queue_core import services as queue
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
    size = raw.seek(0, 2)
    raw.seek(0)
    stored = default_storage.save(f"imports/{uuid.uuid4().hex}", File(raw))
    try:
        with transaction.atomic():
            lock_draft(campaign.pk)
            made = RecipientImport.objects.create(
                campaign=campaign,
                filename=filename[-255:],
                state=ImportState.WAITING,
                file=stored,
                size=size,
                options=options.as_json(),
                found=found,
                created_by_id=audit.user_id(by),
            )
            queue.submit(IMPORT_FILE, {"recipient_import": made.pk}, unique_key=str(made.pk))
            message = f"Importing {filename[-100:]} in the background."
            audit.record(Campaign, [campaign.pk], message, by=by, name=campaign.name)
    except BaseException:
        default_storage.delete(stored)
        raise
    return made
