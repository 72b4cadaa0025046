"""prune: forget finished tasks by the rules of QUEUE_KEEP_DAYS, a slice at a time."""

import datetime
import time

from django.db.models.functions import Now

from queue_core import conf, lifecycle
from queue_core.models import PruneWalk
from queue_core.states import FINAL

_SLICE = 5_000
_DAY = 86_400.0
_WALK = 1


def rules() -> dict[tuple[str, str], float]:
    """(queue or "*", state) -> seconds; from `{"succeeded": 7, "failed": 30, "mail": {"succeeded": 90}}` in days."""
    found: dict[tuple[str, str], float] = {}
    for key, value in conf.get("KEEP_DAYS").items():
        if isinstance(value, dict):
            found |= {(key, state): days * _DAY for state, days in value.items()}
        else:
            found[("*", key)] = value * _DAY
    return found


def prune(*, seconds: float = 60.0, go_on: bool = False) -> int:
    """Delete final tasks past their keep, with executions, results and dead letters. Returns how many.

    Pinned tasks and states without a rule stay. Each slice is a transaction of its own, so no lock is held for long;
    after `seconds` it stops. With `go_on` it starts where the run before got to, and at the oldest task only once a
    day: what is kept for long is then read once a day, not by every run, and goes up to a day late.
    Buckets of limits that are idle go too.
    """
    while lifecycle.prune_lanes(_SLICE) == _SLICE:
        pass
    keep = {key: kept for key, kept in rules().items() if key[1] in FINAL}
    if not keep:
        return 0
    deadline = time.monotonic() + seconds
    total, after = 0, _start(go_on)
    while time.monotonic() < deadline:
        deleted, seen, last = lifecycle.prune(after, _SLICE, keep)
        total += deleted
        if last is not None:
            after = last
            PruneWalk.objects.filter(pk=_WALK).update(reached=after)
        if seen < _SLICE:
            break
    return total


def _start(go_on: bool) -> int:
    """The id of the task to go on behind; 0 begins a new walk."""
    walk = PruneWalk.objects.filter(pk=_WALK, began_at__gt=Now() - datetime.timedelta(days=1)).first()
    if walk is not None and go_on:
        return walk.reached
    PruneWalk.objects.update_or_create(pk=_WALK, defaults={"reached": 0, "began_at": Now()})
    return 0
