from collections.abc import Sequence

from django.db import transaction

from queue_core import lifecycle
from queue_core.models import Workflow
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.outcome import BulkOutcome
from queue_core.services.settle import settle_on_commit


def cancel_workflow(ids: Sequence[int], *, by: audit.Actor | None = None) -> BulkOutcome:
    """Stop workflows: their waiting steps are cancelled, running ones are asked to end.

    A workflow is cancelled when the last of them has ended; it has succeeded when all steps did after all.
    `asked` counts running steps. Workflows that are over, or were cancelled before, are counted as skipped.
    """
    ids = checked_ids(ids)
    with transaction.atomic():
        marked, live = lifecycle.ask_workflows_to_end(ids)
        asked = lifecycle.cancel(live)[1] if live else 0
        skipped = len(set(ids)) - len(marked)
        reason = "over already, or cancelled before"
        outcome = BulkOutcome(changed=len(marked), skipped=skipped, reason=reason, asked=asked)
        if marked:
            audit.record(Workflow, ids, outcome.sentence("Cancelled", "workflow"), by=by)
        if marked or asked:
            settle_on_commit()
    return outcome
