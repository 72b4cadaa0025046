from collections.abc import Sequence

from django.db import transaction

from queue_core import lifecycle
from queue_core.models import DeadLetter
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome


def discard(letter_ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Resolve dead letters without running their tasks again; those stay failed. Those resolved before are skipped."""
    letter_ids = checked_ids(letter_ids, "letter_ids")
    with transaction.atomic():
        changed = lifecycle.discard(letter_ids, by=audit.user_id(by))
        outcome = BulkOutcome(changed=changed, skipped=len(set(letter_ids)) - changed, reason="resolved already")
        if changed:
            audit.record(DeadLetter, letter_ids, outcome.sentence("Discarded", "dead letter"), by=by)
    return outcome
