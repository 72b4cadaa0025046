from collections.abc import Sequence
from typing import Any

from queue_core import lifecycle
from queue_core.services.outcome import BulkOutcome


def discard(letter_ids: Sequence[int], *, by: Any = None) -> BulkOutcome:
    """Resolve dead letters without running their tasks again; those stay failed. Those resolved before are skipped."""
    changed = lifecycle.discard(letter_ids, by=by and by.pk)
    return BulkOutcome(changed=changed, skipped=len(set(letter_ids)) - changed, reason="resolved already")
