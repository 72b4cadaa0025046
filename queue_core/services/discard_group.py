from collections.abc import Sequence

from queue_core import lifecycle
from queue_core.models import DeadLetterGroup
from queue_core.services import audit
from queue_core.services.open_letters import resolve_open
from queue_core.services.outcome import BulkOutcome


def discard_group(group: DeadLetterGroup, *, by: audit.Actor | None = None) -> BulkOutcome:
    """Resolve every open dead letter of a group, a thousand at a time; the tasks stay failed.

    Stopped on the way, it has done whole slices; called again, it goes on.
    """

    def drop(rows: Sequence[tuple[int, int]]) -> int:
        return lifecycle.discard([letter for letter, _ in rows], by=audit.user_id(by))

    return resolve_open(group, drop, "Discarded", by=by)
