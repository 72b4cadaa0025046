from django.db import transaction

from campaigns import lifecycle
from campaigns.models import Campaign
from campaigns.services.reopen import go_on, lock_launched
from campaigns.states import RecipientState
from queue_core.services import Actor, audit
from queue_core.services.outcome import BulkOutcome


def retry_failed(campaign: Campaign, *, hard: bool = False, by: Actor | None = None) -> BulkOutcome:
    """Mail those again whose mail was refused; all others stay as they are.

    Recipients rejected -> pending with all their attempts, a completed campaign -> sending. Without `hard` those that
    a mail server refused for good (a code of 500 or more) are skipped; suppressed ones always are. Raises WrongState
    before the launch and after a cancel. Safe to repeat.
    """
    with transaction.atomic():
        locked = lock_launched(campaign, "sent to the failed ones again")
        before = lifecycle.counts(locked.pk)[RecipientState.REJECTED]
        changed = lifecycle.reopen_rejected(locked.pk, hard=hard)
        outcome = BulkOutcome(changed, max(before - changed, 0), "refused for good")
        if changed:
            go_on(locked)
            audit.record(Campaign, [locked.pk], outcome.sentence("Retried", "recipient"), by=by, name=locked.name)
    campaign.refresh_from_db()
    return outcome
