from django.contrib.admin.models import LogEntry
from django.db import transaction

from queue_core import conf, lifecycle, registry
from queue_core.errors import UnknownQueue
from queue_core.models import Queue, Task
from queue_core.services import audit
from queue_core.services.outcome import BulkOutcome, plural
from queue_core.states import TaskState

SLICE = 1_000
# What one call does at most, within seconds; the answer says when more is left.
PURGE_MAX = 100_000


def purge_queue(name: str, *, by: audit.Actor | None = None) -> BulkOutcome:
    """Cancel everything that waits in a queue, also what is scheduled for later; what runs goes on.

    A thousand at a time, each thousand a transaction of its own, PURGE_MAX at most: `skipped` is 1 when more waits,
    then call it again. Raises UnknownQueue.
    """
    if name not in conf.queues():
        raise UnknownQueue(name, conf.queues())
    changed, entry, more = 0, None, True
    while more and changed < PURGE_MAX:
        with transaction.atomic():
            stopped, more = _purge_slice(name)
            changed += stopped
            entry = _written(entry, name, changed, by) if changed else None
    return BulkOutcome(changed, int(more), "the limit of one call: more tasks wait")


def _purge_slice(name: str) -> tuple[int, bool]:
    """Both arms of `parked`, as each has an index of its own. (cancelled, whether there may be more)

    Locked as they are found: what a worker takes at this moment is passed over, not asked to end. So are tasks of our
    own workings: what they work at (a bulk operation, a campaign) has verbs that stop it.
    """
    ids: list[int] = []
    for parked in (False, True):
        waiting = (
            Task.objects.select_for_update(skip_locked=True)
            .filter(queue=name, state=TaskState.QUEUED, parked=parked)
            .exclude(name__in=registry.internal())
        )
        ids += waiting.values_list("pk", flat=True)[: SLICE - len(ids)]
    return lifecycle.cancel(ids)[0] if ids else 0, len(ids) == SLICE


def _written(entry: LogEntry | None, name: str, changed: int, by: audit.Actor | None) -> LogEntry | None:
    message = f"Purged: cancelled {plural(changed, 'task')}."
    if entry is None or by is None:
        return audit.record(Queue, [name], message, by=by)
    audit.amend(entry, message, by=by)
    return entry
