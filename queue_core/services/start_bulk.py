from itertools import chain
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from queue_core import conf, registry
from queue_core.models import BulkOperation, Queue, Worker
from queue_core.services import audit
from queue_core.services.preview_bulk import Preview, preview_bulk
from queue_core.services.submit import submit
from queue_core.states import Desire, WorkerKind, WorkerState

_FIRST = 100


def start_bulk(
    verb: str, *, by: audit.Actor | None = None, in_background: bool = True, **selection: Any
) -> BulkOperation:
    """Begin a verb on everything that matches a search, or on ids; a task of the queue does it, slice by slice.

    `selection` and what is raised are those of `preview_bulk`. With `in_background=False` nothing is submitted: the
    caller calls `run_bulk` itself. What is made later is not touched, so the operation ends.
    """
    preview = preview_bulk(verb, asked_by=by, **selection)
    with transaction.atomic():
        made = _write(preview, by)
        if in_background:
            # Before what waits in its queue, which may be the very line that it is to cancel.
            submit(
                *("queue_core.bulk", {"operation": made.pk}),
                queue=_open_queue(),
                priority=_FIRST,
                unique_key=str(made.pk),  # by which `end_forsaken` finds it
            )
    return made


def _open_queue() -> str:
    """The queue of its tasks, or, while that is paused, another that workers serve: a pause is when people tidy up."""
    usual = registry.get("queue_core.bulk").queue_name
    paused = set(Queue.objects.filter(paused_at__isnull=False).values_list("name", flat=True))
    if usual not in paused:
        return usual
    workers = Worker.objects.filter(state=WorkerState.ONLINE, kind=WorkerKind.PROCESS, desired=Desire.RUN)
    served = set(chain.from_iterable(workers.values_list("queues", flat=True)))
    return next((name for name in conf.queues() if name in served - paused), usual)


def _write(preview: Preview, by: audit.Actor | None) -> BulkOperation:
    chosen = preview.selection
    model = chosen.verb.target.model
    ids = chosen.ids
    made = BulkOperation.objects.create(
        verb=chosen.verb.name,
        target=chosen.verb.target.label,
        query=chosen.query,
        ids=ids,
        params=chosen.params,
        matched=preview.count if ids is None else len(ids),
        is_exact=preview.is_exact,
        end_id=ids[-1] if ids else model._default_manager.aggregate(last=Max("pk"))["last"] or 0,
        user_id=audit.user_id(by),
        door=by.door if by else "",
        created_at=Now(),
    )
    sentence = f"Asked to {chosen.verb.name.replace('_', ' ')} {chosen.scope}: {preview.shown_count}."
    entry = audit.record(BulkOperation, [made.pk], sentence, by=by, flag=audit.ADDITION)
    if entry:
        BulkOperation.objects.filter(pk=made.pk).update(audit_entry=entry.pk)
    made.refresh_from_db()
    return made
