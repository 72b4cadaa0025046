from collections.abc import Sequence

from django.db import transaction

from queue_core.models import Schedule
from queue_core.services.outcome import BulkOutcome


def delete_schedule(ids: Sequence[int]) -> BulkOutcome:
    """Delete schedules with their history; their tasks stay."""
    with transaction.atomic():
        # Locked first: a tick must not add to the history of one that is going.
        found = list(Schedule.objects.select_for_update().filter(pk__in=ids).values_list("pk", flat=True))
        Schedule.objects.filter(pk__in=found).delete()
    return BulkOutcome(changed=len(found), skipped=len(set(ids)) - len(found), reason="deleted already")
