from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from queue_core.states import LIVE, TaskState

if TYPE_CHECKING:
    from queue_core.models import BulkOperation, Task  # noqa: F401


_RETRYING = Q(state=TaskState.QUEUED, attempt__gt=0) & ~Q(error="")

# The states as people read them (see Task.shown_state). Both arms of `parked` are written out because each has an
# index of its own.
SHOWN_STATES: dict[str, Q] = {
    "queued": Q(state=TaskState.QUEUED, parked=False) & ~_RETRYING,
    "scheduled": Q(state=TaskState.QUEUED, parked=True, run_at__gt=Now()) & ~_RETRYING,
    "retrying": _RETRYING & (Q(parked=True) | Q(parked=False)),
    **{state.value: Q(state=state) for state in TaskState if state is not TaskState.QUEUED},
}


def in_states(states: Iterable[str]) -> Q:
    """Rows in any of these states of the column, each as its index has it."""
    found = Q(pk__in=[])
    for state in states:
        queued = Q(state=state, parked=False) | Q(state=state, parked=True)
        found |= queued if state == TaskState.QUEUED else Q(state=state)
    return found


class TaskQuerySet(QuerySet["Task"]):
    def live(self) -> Self:
        return self.filter(state__in=LIVE)

    def for_list(self) -> Self:
        """What a list of tasks shows, without the payloads."""
        return self.select_related("worker").defer("payload", "context")


# How many ids of a bulk operation are shown beside its name.
IDS_SHOWN = 10


class BulkOperationQuerySet(QuerySet["BulkOperation"]):
    def for_list(self) -> Self:
        """Without the ids and the refusals, which may be thousands, but with `id_count` and the `first_ids`."""
        rows = self.select_related("user").defer("ids", "refusals")
        return rows.annotate(id_count=F("ids__len"), first_ids=F(f"ids__0_{IDS_SHOWN}"))
