"""The task of an import: in line for as long as its row waits for one."""

from django.db.models import OuterRef, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat

from queue_core import services as queue
from queue_core.models import Task

_AGAIN = ":again"


def submit_task(name: str, import_id: int) -> None:
    """Put the task of an import in line.

    The last one may have done its work and not be over yet, for as long as its outcome is on the way: it would not
    look again, so it must not stand for this one. Two that look do the work once.
    """
    for key in (str(import_id), f"{import_id}{_AGAIN}"):
        if queue.submit(name, {"recipient_import": import_id}, unique_key=key).created:
            return


def live_tasks(name: str) -> QuerySet[Task]:
    """Of an import that is the outer query."""
    pk = Cast(OuterRef("pk"), TextField())
    return Task.objects.live().filter(name=name, unique_key__in=[pk, Concat(pk, Value(_AGAIN))])
