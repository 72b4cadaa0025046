"""How a bulk operation goes on: slices by rising ids, each with its progress in one transaction."""

import time
from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models.functions import Now

from queue_core import bulk, lifecycle
from queue_core.errors import QueueError
from queue_core.models import BulkOperation
from queue_core.services import audit
from queue_core.services.outcome import plural
from queue_core.states import BulkState
from queue_core.texts import ids_shown

SLICE = 500
# Ids that are looked at together where few rows match; twice as many after each look that found little.
_WIDTH, _WIDTH_MAX = 20_000, 1_000_000
_LOOK_SECONDS = 0.5
_REFUSALS_MAX = 1_000
_REASON_CHARS = 200


def run_bulk(pk: int, *, seconds: float) -> BulkOperation:
    """Work at an operation for about that long; `is_over` of what is returned says whether more is left.

    A killed process has done whole slices, and the next call goes on behind them: no row is worked on twice, none is
    left out. Two at once take turns. The person who asked must still be allowed to.
    """
    deadline = time.monotonic() + seconds
    while True:
        with transaction.atomic():
            operation = BulkOperation.objects.select_for_update().get(pk=pk)
            if not operation.is_over:
                _slice(operation)
        if operation.is_over or time.monotonic() >= deadline:
            operation.refresh_from_db()
            return operation


def _slice(operation: BulkOperation) -> None:
    lifecycle.begin_bulk(operation.pk)
    verb = bulk.get(operation.target, operation.verb)
    if operation.state == BulkState.STOPPING:
        return _end(operation, verb, BulkState.STOPPED)
    if not _may(operation, verb):
        reason = f"{operation.user or 'Who asked for it'} lacks the permission {verb.permission} now."
        return _end(operation, verb, BulkState.FAILED, reason)
    ids, last = _next(operation, verb)
    if ids:
        _count(operation, len(ids), *_worked(operation, verb, ids))
    operation.last_id = last
    operation.heard_at = Now()
    operation.save(update_fields=["seen", "changed", "skipped", "failed", "refusals", "last_id", "heard_at"])
    if last >= operation.end_id:
        return _end(operation, verb, BulkState.DONE)
    return None


def give_up(operation: BulkOperation, why: str) -> None:
    """Any that is not over, locked by the caller -> failed."""
    _end(operation, bulk.get(operation.target, operation.verb), BulkState.FAILED, why)


def _may(operation: BulkOperation, verb: bulk.BulkVerb) -> bool:
    """Looked up for each slice: who loses the permission is heard at once. What a command began needs nobody."""
    if operation.door not in ("admin", "api"):
        return True
    user: Any = operation.user
    return bool(user and user.is_active and user.has_perm(verb.permission))


def _next(operation: BulkOperation, verb: bulk.BulkVerb) -> tuple[list[int], int]:
    """(ids to work on, the last id that is done with after them)."""
    after, end = operation.last_id, operation.end_id
    if operation.ids is not None:
        ids = [pk for pk in operation.ids if pk > after][:SLICE]
        return ids, ids[-1] if ids else end
    # Ages are counted from the start: what matches does not wander while it is worked on.
    rows = verb.target.where(operation.query, operation.created_at).order_by("pk").values_list("pk", flat=True)
    every = verb.target.model._default_manager.order_by("pk").values_list("pk", flat=True)
    width, due = _WIDTH, time.monotonic() + _LOOK_SECONDS
    while after < end:
        first = every.filter(pk__gt=after, pk__lte=end).first()  # ids may have wide gaps
        if first is None:
            return [], end
        top = min(first + width, end)
        ids = list(rows.filter(pk__gte=first, pk__lte=top)[:SLICE])
        after = ids[-1] if len(ids) == SLICE else top
        if ids or time.monotonic() >= due:
            return ids, after
        width = min(width * 2, _WIDTH_MAX)
    return [], end


def _worked(operation: BulkOperation, verb: bulk.BulkVerb, ids: Sequence[int]) -> tuple[bulk.Slice, int]:
    """(what became of the slice, how many failed as a whole)."""
    try:
        with transaction.atomic():
            return verb.work(ids, operation.params, operation.user_id), 0
    except QueueError as exc:
        return bulk.Slice(0, dict.fromkeys(ids, str(exc))), len(ids)


def _count(operation: BulkOperation, seen: int, done: bulk.Slice, failed: int) -> None:
    operation.seen += seen
    operation.changed += done.changed
    operation.failed += failed
    operation.skipped += seen - done.changed - failed
    room = _REFUSALS_MAX - len(operation.refusals)
    operation.refusals += [[pk, why[:_REASON_CHARS]] for pk, why in list(done.refusals.items())[:room]]


def _end(operation: BulkOperation, verb: bulk.BulkVerb, state: BulkState, error: str = "") -> None:
    lifecycle.end_bulk(operation.pk, state, error=error)
    operation.refresh_from_db()
    by = audit.Actor(operation.user, operation.door) if operation.door else None
    sentence = f"{said(operation, verb)} {error}".strip()
    entry = LogEntry.objects.filter(pk=operation.audit_entry).first() if operation.audit_entry else None
    if entry and by:
        scope = operation.query or ids_shown(operation.ids or [])
        left = ids_shown([pk for pk, _ in operation.refusals], operation.skipped + operation.failed)
        alone = f" Left alone: {left}." if operation.refusals else ""
        audit.amend(entry, f"{sentence} Asked for: {scope}.{alone}", by=by)
    elif by and not by.user_id:
        audit.record(BulkOperation, [operation.pk], sentence, by=by)


def said(operation: BulkOperation, verb: bulk.BulkVerb) -> str:
    """“Retried 41 tasks; 3 were left alone; stopped on the way.”"""
    parts = [f"{verb.done} {plural(operation.changed, verb.target.noun)}"]
    if left := operation.skipped + operation.failed:
        parts.append(f"{left} {'was' if left == 1 else 'were'} left alone")
    if operation.state == BulkState.STOPPED:
        parts.append("stopped on the way")
    return "; ".join(parts) + "."
