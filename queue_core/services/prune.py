"""prune: forget finished tasks by the rules of QUEUE_KEEP_DAYS, a slice at a time."""

import time

from queue_core import conf, lifecycle
from queue_core.states import FINAL

_SLICE = 5_000
_DAY = 86_400.0


def rules() -> dict[tuple[str, str], float]:
    """(queue or "*", state) -> seconds; from `{"succeeded": 7, "failed": 30, "mail": {"succeeded": 90}}` in days."""
    found: dict[tuple[str, str], float] = {}
    for key, value in conf.get("KEEP_DAYS").items():
        if isinstance(value, dict):
            found |= {(key, state): days * _DAY for state, days in value.items()}
        else:
            found[("*", key)] = value * _DAY
    return found


def prune(*, seconds: float = 60.0) -> int:
    """Delete final tasks past their keep, with executions, results and dead letters. Returns how many.

    Pinned tasks and states without a rule stay. Each slice is a transaction of its own, so no lock is held for long;
    after `seconds` it stops, and the next run goes on from the oldest. Buckets of limits that are idle go too.
    """
    while lifecycle.prune_lanes(_SLICE) == _SLICE:
        pass
    keep = {key: kept for key, kept in rules().items() if key[1] in FINAL}
    if not keep:
        return 0
    deadline = time.monotonic() + seconds
    total, after = 0, 0
    while time.monotonic() < deadline:
        deleted, seen, last = lifecycle.prune(after, _SLICE, keep)
        total += deleted
        if seen < _SLICE or last is None:
            break
        after = last
    return total
