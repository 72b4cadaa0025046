"""The states of bulk operations."""

from django.db.models.functions import Now

from queue_core.models import BulkOperation
from queue_core.states import BULK_OVER, BulkState


def begin(pk: int) -> bool:
    """pending -> running."""
    waiting = BulkOperation.objects.filter(pk=pk, state=BulkState.PENDING)
    return bool(waiting.update(state=BulkState.RUNNING, started_at=Now()))


def ask_to_stop(pk: int) -> bool:
    """pending, running -> stopping."""
    going = BulkOperation.objects.filter(pk=pk, state__in=[BulkState.PENDING, BulkState.RUNNING])
    return bool(going.update(state=BulkState.STOPPING))


def end(pk: int, state: BulkState, *, error: str = "") -> bool:
    """Any that is not over -> done, stopped or failed."""
    going = BulkOperation.objects.filter(pk=pk).exclude(state__in=BULK_OVER)
    return bool(going.update(state=state, error=error, finished_at=Now()))
