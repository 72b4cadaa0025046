from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import transaction

from queue_core import broker, lifecycle
from queue_core.services.outcome import BulkOutcome


def retry(ids: Sequence[int], *, by: Any = None) -> BulkOutcome:
    """Put failed or cancelled tasks back in line, keeping their history; their dead letters are resolved.

    failed, cancelled -> queued. Tasks in any other state are left alone and counted as skipped.
    Safe to press twice: the allowed states are in the UPDATE, not in Python. `by` is a user, or None.
    """
    moved = lifecycle.retry(ids, by=by and by.pk)
    for queue in {queue for _, queue in moved}:
        transaction.on_commit(partial(broker.ring, queue))
    return BulkOutcome(changed=len(moved), skipped=len(set(ids)) - len(moved), reason="not failed or cancelled")
