"""Which workers and pools are there, by the database's clock."""

import datetime

from django.db.models import BooleanField, Case, CharField, ExpressionWrapper, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from queue_core import conf
from queue_core.models import Worker, WorkerPool
from queue_core.states import WorkerState


def pool_is_alive() -> Q:
    """Of pools: not ended, and heard of within the lease of a worker."""
    silent = datetime.timedelta(seconds=conf.get("LEASE_SECONDS"))
    return Q(stopped_at__isnull=True, heartbeat_at__gt=Now() - silent)


def live_pools() -> QuerySet[WorkerPool]:
    """The pools that run, in the order of their start, with `silence` since the last heartbeat."""
    return WorkerPool.objects.filter(pool_is_alive()).annotate(silence=Now() - F("heartbeat_at")).order_by("id")


def workers() -> QuerySet[Worker]:
    """All workers, with `shown_state` (alive, lost, stopped), `silence` since the last heartbeat, and `asked_ago`."""
    beats = ExpressionWrapper(Q(state=WorkerState.ONLINE, lease_until__gt=Now()), output_field=BooleanField())
    shown_state = Case(
        When(beats, then=Value("alive")),
        When(state=WorkerState.STOPPED, then=Value("stopped")),
        default=Value("lost"),
        output_field=CharField(),
    )
    return Worker.objects.annotate(
        shown_state=shown_state, silence=Now() - F("heartbeat_at"), asked_ago=Now() - F("desired_at")
    )


def live_workers() -> QuerySet[Worker]:
    """The workers that beat, in the order of their start."""
    return workers().filter(state=WorkerState.ONLINE, lease_until__gt=Now()).order_by("id")
