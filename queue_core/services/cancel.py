from collections.abc import Sequence

from queue_core import lifecycle
from queue_core.services.outcome import BulkOutcome


def cancel(ids: Sequence[int]) -> BulkOutcome:
    """Stop tasks before they start.

    blocked, queued -> cancelled. A running task is left alone and counted as skipped.
    """
    moved = lifecycle.cancel(ids)
    return BulkOutcome(changed=len(moved), skipped=len(set(ids)) - len(moved), reason="not waiting any more")
