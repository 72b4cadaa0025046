from django.db import transaction

from campaigns import lifecycle
from campaigns.models import Campaign
from campaigns.services.reopen import go_on, lock_launched
from campaigns.states import RecipientState
from queue_core.services import Actor, audit
from queue_core.services.outcome import BulkOutcome, plural

# A slice holds the campaign, which its senders need, for about a fifth of a second.
SLICE = 20_000


def retry_failed(campaign: Campaign, *, hard: bool = False, by: Actor | None = None) -> BulkOutcome:
    """Mail those again whose mail was refused; all others stay as they are.

    Recipients rejected -> pending with all their attempts, a completed campaign -> sending. Without `hard` those that
    a mail server refused for good (a code of 500 or more) are skipped; suppressed ones always are. Raises WrongState
    before the launch and after a cancel. Safe to repeat: many are done in slices, each with its entry in the audit.
    """
    before = lifecycle.counts(campaign.pk)[RecipientState.REJECTED]
    changed, after = 0, 0
    while ids := _slice(campaign, after, hard, by):
        changed, after = changed + len(ids), ids[-1]
        if len(ids) < SLICE:
            break
    campaign.refresh_from_db()
    return BulkOutcome(changed, max(before - changed, 0), "suppressed" if hard else "refused for good or suppressed")


def retryable(campaign: Campaign) -> lifecycle.Retryable:
    """Whom `retry_failed` would mail again, and whom not, told before it is asked for."""
    return lifecycle.retryable(campaign.pk)


def _slice(campaign: Campaign, after: int, hard: bool, by: Actor | None) -> list[int]:
    """Ids only grow: whoever is refused once more meanwhile is not tried for ever."""
    with transaction.atomic():
        locked = lock_launched(campaign, "sent to the failed ones again")
        ids = lifecycle.reopen_rejected(locked.pk, after=after, limit=SLICE, hard=hard)
        if ids:
            go_on(locked)
            message = f"Retried {plural(len(ids), 'recipient')}."
            audit.record(Campaign, [locked.pk], message, by=by, name=locked.name)
    return ids
