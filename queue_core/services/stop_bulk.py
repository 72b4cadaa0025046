import datetime

from django.db import transaction

from queue_core import lifecycle
from queue_core.errors import InvalidSubmission, QueueError
from queue_core.models import BulkOperation
from queue_core.services import audit
from queue_core.services.clock import database_time
from queue_core.services.ids import checked_id
from queue_core.states import BulkState

# Whoever worked at it and has not been heard for this long is gone.
_SILENT = datetime.timedelta(minutes=5)


class BulkOver(QueueError):
    """It cannot be stopped: it is over, or asked to already."""

    def __init__(self, operation: BulkOperation) -> None:
        self.state = operation.state
        super().__init__(f"Bulk operation {operation.pk} is {operation.state}: there is nothing to stop.")


def stop_bulk(pk: int, *, by: audit.Actor | None = None) -> BulkOperation:
    """End a bulk operation after the slice it is at; what is done stays done. Raises BulkOver."""
    with transaction.atomic():
        operation = BulkOperation.objects.select_for_update().filter(pk=checked_id(pk, "pk")).first()
        if operation is None:
            raise InvalidSubmission("pk", f"there is no bulk operation {pk}")
        heard = operation.heard_at or operation.created_at
        is_silent = database_time() - heard > _SILENT
        stops = lifecycle.end_bulk(pk, BulkState.STOPPED) if is_silent else lifecycle.ask_bulk_to_stop(pk)
        if not stops:
            raise BulkOver(operation)
        audit.record(BulkOperation, [pk], "Asked to stop.", by=by)
        operation.refresh_from_db()
    return operation
