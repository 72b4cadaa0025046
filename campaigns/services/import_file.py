"""The file of an import: in the default storage, until it is not needed any more."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from campaigns import conf, lifecycle
from campaigns.errors import ImportRefused
from campaigns.models import Campaign, RecipientImport
from campaigns.states import IMPORT_OVER, ImportState
from queue_core import services as queue

FORGET_FILE = "campaigns.forget_import_file"
_DAY = 86_400.0


@contextmanager
def kept(raw: BinaryIO) -> Iterator[tuple[str, int]]:
    """Store a file for as long as the block succeeds: -> (its name in the storage, bytes)."""
    size = raw.seek(0, 2)
    raw.seek(0)
    stored = default_storage.save(f"imports/{uuid.uuid4().hex}", File(raw))
    try:
        with transaction.atomic():
            yield stored, size
    except BaseException:
        default_storage.delete(stored)
        raise


def opened(job: RecipientImport) -> BinaryIO:
    """The stored file, to be closed by the caller. Raises ImportRefused when it is gone."""
    try:
        file: BinaryIO = default_storage.open(job.file or "gone").file  # type: ignore[assignment]
    except FileNotFoundError:
        raise ImportRefused("The stored file is gone. Import it again: who was added stays.") from None
    return file


def is_small(job: RecipientImport) -> bool:
    """Whether a person can wait for the whole of it."""
    return bool(job.size <= conf.get("IMPORT_AT_ONCE_MIB") * 1024 * 1024)


def forget_later(import_id: int) -> None:
    """Put the task in line that removes the file, when it has been kept for long enough."""
    delay = conf.get("IMPORT_KEEP_DAYS") * _DAY
    queue.submit(FORGET_FILE, {"recipient_import": import_id}, delay=delay, unique_key=str(import_id))


def forget_file(import_id: int) -> None:
    """Remove the file of an import that is over, or was never begun; its numbers and rejected rows stay."""
    with transaction.atomic():
        job = RecipientImport.objects.select_for_update().filter(pk=import_id).exclude(file="").first()
        if job is None:
            return
        if job.state in (ImportState.UPLOADED, ImportState.CHECKING):
            lifecycle.move_import("cancel", import_id)
        elif job.state not in IMPORT_OVER:
            return
        RecipientImport.objects.filter(pk=import_id).update(file="")
    default_storage.delete(job.file)


def forget_files_of(campaign: Campaign) -> None:
    """Remove the files of all its imports once they are deleted with it: nothing would lead to them any more."""
    for name in RecipientImport.objects.filter(campaign=campaign).exclude(file="").values_list("file", flat=True):
        # What the storage refuses is logged: the campaign is gone all the same.
        transaction.on_commit(partial(default_storage.delete, name), robust=True)
