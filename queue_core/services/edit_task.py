from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import transaction

from queue_core import broker, lifecycle
from queue_core.errors import InvalidSubmission
from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome
from queue_core.services.submit import check_served, checked_changes, text_for_tasks

EDITABLE = ("priority", "queue", "run_at", "max_attempts", "tags", "payload")


def edit_task(ids: Sequence[int], *, by: audit.Actor | None = None, **changes: Any) -> BulkOutcome:
    """Change tasks that wait: any of `priority queue run_at max_attempts tags payload`, as `submit` takes them.

    blocked and queued tasks only, judged in the statement itself: one that a worker takes at this moment is left alone
    and counted as skipped. A changed time counts at once. Raises InvalidSubmission or UnknownQueue.
    """
    if unknown := sorted(changes.keys() - set(EDITABLE)):
        raise InvalidSubmission(unknown[0], f"cannot be changed; what can is {', '.join(EDITABLE)}")
    ids, values = checked_ids(ids), checked_changes(changes)
    if "queue" in values:
        check_served(values["queue"], Task.objects.filter(pk__in=ids).values_list("name", flat=True).distinct())
    with transaction.atomic():
        if "payload" in changes:
            values["payload"], values["lanes"] = text_for_tasks(changes["payload"], ids)
        moved = lifecycle.edit(ids, **values) if values else []
        outcome = BulkOutcome(len(moved), len(set(ids)) - len(moved), "not waiting")
        if moved:
            audit.record(Task, ids, f"Changed {', '.join(changes)}. {outcome.sentence('Changed')}", by=by)
        for queue in {queue for _, queue in moved}:
            transaction.on_commit(partial(broker.ring, queue))
    return outcome
