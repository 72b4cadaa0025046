"""pause, resume and limit a task type: what workers may start of it, in whichever queues it waits."""

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from queue_core import broker, conf, registry
from queue_core.errors import UnknownTask
from queue_core.models import TypePolicy
from queue_core.services import audit
from queue_core.services.limits import KEPT, checked_limits
from queue_core.services.submit import is_word


def _locked(name: str) -> TypePolicy:
    """The row of a registered type, or of one that is not registered any more but was held."""
    known = is_word(name, 200) and (registry.find(name) or TypePolicy.objects.filter(pk=name).exists())
    if not known:
        raise UnknownTask(name, registry.names())
    return TypePolicy.objects.select_for_update().get_or_create(name=name)[0]


def _hold(policy: TypePolicy, **values: Any) -> None:
    TypePolicy.objects.filter(pk=policy.pk).update(**values)
    policy.refresh_from_db()


def _ring() -> None:
    for queue in conf.queues():
        transaction.on_commit(partial(broker.ring, queue))


def pause_type(name: str, *, by: audit.Actor | None = None) -> TypePolicy:
    """Start no more tasks of this type, from within a second on; what runs goes on. Safe to repeat.

    Others of its queues go on. Raises UnknownTask.
    """
    with transaction.atomic():
        policy = _locked(name)
        if policy.paused_at is None:
            _hold(policy, paused_at=Now())
            audit.record(TypePolicy, [name], "Paused.", by=by)
    return policy


def resume_type(name: str, *, by: audit.Actor | None = None) -> TypePolicy:
    """Let a paused type go on, within a second. Safe to repeat. Raises UnknownTask."""
    with transaction.atomic():
        policy = _locked(name)
        if policy.paused_at is not None:
            _hold(policy, paused_at=None)
            audit.record(TypePolicy, [name], "Resumed.", by=by)
        _ring()
    return policy


def limit_type(
    name: str, *, max_running: int | None = KEPT, rate: str | None = KEPT, by: audit.Actor | None = None
) -> TypePolicy:
    """Limit what runs at once and what may start in a time, over all workers, in place of what the code says.

    None goes back to the code's own limit. `rate` is `100/m` (s, m, h, d, or `5/10s`). Heard within a second. Raises
    InvalidSubmission or UnknownTask.
    """
    values = checked_limits(max_running, rate)
    with transaction.atomic():
        policy = _locked(name)
        if any(getattr(policy, field) != value for field, value in values.items()):
            _hold(policy, **values)
            at_once, starts = policy.max_running or "as the code says", policy.limit.rate or "as the code says"
            audit.record(TypePolicy, [name], f"Limited: {at_once} at once, {starts} in a time.", by=by)
        _ring()
    return policy
