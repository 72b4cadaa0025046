"""Bulk operations that nobody works at any more are ended, so that nobody waits for them."""

import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, TextField
from django.db.models.functions import Cast, Coalesce, Now

from queue_core.models import BulkOperation, Task
from queue_core.services.run_bulk import give_up
from queue_core.states import BULK_OVER

_SILENT = datetime.timedelta(minutes=1)
_LIMIT = 100
_WHY = (
    "Nobody works at it any more: its task was cancelled or failed, or its command was ended. "
    "Rows up to id {last_id} are done; ask again for those behind it."
)


def end_forsaken() -> int:
    """pending, running, stopping -> failed, for operations silent for a minute that no live task drives; how many.

    One that is at a slice is locked, and passed over.
    """
    driven = Task.objects.live().filter(name="queue_core.bulk", unique_key=Cast(OuterRef("pk"), TextField()))
    silent = BulkOperation.objects.exclude(state__in=BULK_OVER).alias(heard=Coalesce("heard_at", "created_at"))
    forsaken = silent.filter(~Exists(driven), heard__lt=Now() - _SILENT).order_by("pk")
    with transaction.atomic():
        operations = list(forsaken.select_for_update(skip_locked=True)[:_LIMIT])
        for operation in operations:
            give_up(operation, _WHY.format(last_id=operation.last_id))
    return len(operations)
