"""run_import: the work of an import in the background, a slice per transaction, so that a crash repeats nothing."""

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import BinaryIO

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F

from campaigns import conf, lifecycle
from campaigns.errors import CampaignError, ImportRefused
from campaigns.intake import Accepted, Options, Refused, Rows, find_columns, open_source, read_rows
from campaigns.models import RecipientImport
from campaigns.services.merge import KEPT_REJECTED_ROWS, keep_rejected, lock_draft, merge
from queue_core import services as queue

FORGET_FILE = "campaigns.forget_import_file"
_SLICE_CHARS = 16 << 20
_DAY = 86_400.0


def run_import(import_id: int, *, progress: Callable[[int, int], None] = lambda done, size: None) -> None:
    """waiting, running -> done, or failed with the reason. Goes on behind the last slice on record.

    Each slice is one transaction with its numbers and the position behind it: killed at any moment, every row is
    counted once. Two that run the same import do each slice once. `progress` hears bytes read, of all.
    """
    if not lifecycle.move_import("run", import_id):
        return
    job = RecipientImport.objects.get(pk=import_id)
    try:
        with _stored(job) as raw:
            is_whole = _import(job, raw, progress)
    except CampaignError as exc:
        _end(job, "fail", error=str(exc))
        return
    if is_whole:
        _end(job, "finish")


def _stored(job: RecipientImport) -> BinaryIO:
    try:
        file: BinaryIO = default_storage.open(job.file).file  # type: ignore[assignment]
    except FileNotFoundError:
        raise ImportRefused("The stored file is gone. Import it again: who was added stays.") from None
    return file


def _import(job: RecipientImport, raw: BinaryIO, progress: Callable[[int, int], None]) -> bool:
    """Whether all of it is in; False when somebody has cancelled it, or another process goes on with it."""
    options = Options(**job.options)
    position = job.position
    with open_source(raw, options) as source:
        columns, lines = find_columns(source, options)
        deque(islice(lines, position), maxlen=0)
        rows = read_rows(columns, lines)
        while piece := _slice(rows):
            # What the reader has fetched is ahead of what is imported by less than a slice.
            read = 0 if source.kind == "xlsx" else raw.tell()
            if not _take(job, position, piece, read):
                return False
            position += len(piece)
            progress(read, job.size)
    return True


def _slice(rows: Rows) -> list[Accepted | Refused | None]:
    """The next rows; fewer where they are long, so that memory stays bounded."""
    piece: list[Accepted | Refused | None] = []
    chars = 0
    for row in islice(rows, conf.get("IMPORT_SLICE")):
        piece.append(row)
        chars += len(row.attributes) if isinstance(row, Accepted) else 0
        if chars > _SLICE_CHARS:
            break
    return piece


def _take(job: RecipientImport, position: int, piece: list[Accepted | Refused | None], read: int) -> bool:
    """Import a slice, if it is still to be: its rows, its numbers and the position behind it."""
    with transaction.atomic():
        lock_draft(job.campaign_id)
        now = RecipientImport.objects.select_for_update().filter(pk=job.pk, position=position).first()
        if now is None or not lifecycle.is_running(now):
            return False
        report = merge(job.campaign_id, piece, import_id=job.pk)
        keep_rejected(job.pk, report.rejected[: max(0, KEPT_REJECTED_ROWS - now.invalid)])
        counted = {name: F(name) + number for name, number in report.numbers().items()}
        RecipientImport.objects.filter(pk=job.pk).update(position=position + len(piece), bytes_read=read, **counted)
    return True


def _end(job: RecipientImport, verb: str, *, error: str = "") -> None:
    with transaction.atomic():
        if lifecycle.move_import(verb, job.pk, error=error):
            forget_later(job.pk)


def forget_later(import_id: int) -> None:
    """Put the task in line that removes the file, when it has been kept for long enough."""
    delay = conf.get("IMPORT_KEEP_DAYS") * _DAY
    queue.submit(FORGET_FILE, {"recipient_import": import_id}, delay=delay, unique_key=str(import_id))


def forget_file(import_id: int) -> None:
    """Remove the file of an import that is over; its numbers and rejected rows stay."""
    job = RecipientImport.objects.filter(pk=import_id, finished_at__isnull=False).exclude(file="").first()
    if job is not None:
        default_storage.delete(job.file)
        RecipientImport.objects.filter(pk=import_id).update(file="")
