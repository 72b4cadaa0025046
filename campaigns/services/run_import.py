"""run_import: the work of an import in the background, a slice per transaction, so that a crash repeats nothing."""

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import BinaryIO

from django.db import transaction
from django.db.models import F

from campaigns import lifecycle
from campaigns.errors import CampaignError
from campaigns.intake import Options, find_columns, open_source, read_rows
from campaigns.models import RecipientImport
from campaigns.services.import_file import forget_later, opened
from campaigns.services.merge import KEPT_REJECTED_ROWS, keep_rejected, lock_draft, merge
from campaigns.services.slices import Slice, Slices


def run_import(import_id: int, *, progress: Callable[[int, int], None] = lambda done, size: None) -> None:
    """waiting, running -> done, or failed with the reason. Goes on behind the last slice on record.

    Each slice is one transaction with its numbers and the position behind it: killed at any moment, every row is
    counted once. Two that run the same import do each slice once. `progress` hears bytes read, of all.
    """
    if not lifecycle.move_import("run", import_id):
        return
    job = RecipientImport.objects.get(pk=import_id)
    try:
        with opened(job) as raw:
            is_whole = _import(job, raw, progress)
    except CampaignError as exc:
        give_up_import(job.pk, str(exc))
        return
    if is_whole:
        _finish(job)


def _import(job: RecipientImport, raw: BinaryIO, progress: Callable[[int, int], None]) -> bool:
    """Whether all of it is in; False when somebody has cancelled it, or another process goes on with it."""
    options = Options(**job.options)
    position = job.position
    with open_source(raw, options) as source:
        columns, lines = find_columns(source, options)
        deque(islice(lines, position), maxlen=0)
        with Slices(read_rows(columns, lines), raw.tell) as slices:
            while piece := slices.take():
                n = len(piece.rows)
                read = piece.read if not source.height else job.size * (position + n + 1) // source.height
                if not _take(job, position, Slice(piece.rows, read), slices.read_ahead):
                    return False
                position += n
                progress(read, job.size)
    return True


def _take(job: RecipientImport, position: int, piece: Slice, meanwhile: Callable[[], None]) -> bool:
    """Import a slice, if it is still to be: its rows, its numbers and the position behind it."""
    with transaction.atomic():
        lock_draft(job.campaign_id)
        now = RecipientImport.objects.select_for_update().filter(pk=job.pk, position=position).first()
        if now is None or not lifecycle.is_running(now):
            return False
        report = merge(job.campaign_id, piece.rows, import_id=job.pk, meanwhile=meanwhile)
        keep_rejected(job.pk, report.rejected[: max(0, KEPT_REJECTED_ROWS - now.invalid)])
        counted = {name: F(name) + number for name, number in report.numbers().items()}
        RecipientImport.objects.filter(pk=job.pk).update(
            position=position + len(piece.rows), bytes_read=piece.read, **counted
        )
    return True


def _finish(job: RecipientImport) -> None:
    with transaction.atomic():
        if lifecycle.move_import("finish", job.pk):
            forget_later(job.pk)


def give_up_import(import_id: int, error: str) -> None:
    """waiting, running -> failed: its task failed for good. `begin_import` goes on where it stopped."""
    with transaction.atomic():
        if lifecycle.move_import("fail", import_id, error=error):
            forget_later(import_id)
