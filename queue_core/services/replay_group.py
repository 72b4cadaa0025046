from collections.abc import Sequence
from dataclasses import replace

from queue_core.models import DeadLetterGroup
from queue_core.services import audit
from queue_core.services.open_letters import resolve_open
from queue_core.services.outcome import BulkOutcome
from queue_core.services.replay import IS_INTERNAL, KEY_IS_TAKEN, make_again


def replay_group(group: DeadLetterGroup, *, by: audit.Actor | None = None) -> BulkOutcome:
    """Replay every task of a group whose dead letter is open, a thousand at a time.

    What fails again meanwhile opens new letters, which stay open. Stopped on the way, it has done whole slices;
    called again, it goes on. Of two calls at once, each letter is replayed by one. The letters of tasks whose unique
    key belongs to a live task stay open.
    """

    def again(rows: Sequence[tuple[int, int]]) -> int:
        return len(make_again([task for _, task in rows], payload=None, by=by))

    outcome = resolve_open(group, again, "Replayed", by=by)
    return replace(outcome, reason=f"{outcome.reason}, or {KEY_IS_TAKEN}, or {IS_INTERNAL}")
