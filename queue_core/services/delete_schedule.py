from collections.abc import Sequence

from django.db import transaction

from queue_core.models import Schedule
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome


def delete_schedule(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Delete schedules with their history; their tasks stay."""
    ids = checked_ids(ids)
    with transaction.atomic():
        # Locked first: a tick must not add to the history of one that is going.
        found = list(Schedule.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
        Schedule.objects.filter(pk__in=[schedule.pk for schedule in found]).delete()
        outcome = BulkOutcome(changed=len(found), skipped=len(set(ids)) - len(found), reason="deleted already")
        if found:
            names, sentence = ", ".join(map(str, found)), outcome.sentence("Deleted", "schedule")
            audit.record(Schedule, ids, sentence, by=by, flag=audit.DELETION, name=names)
    return outcome
