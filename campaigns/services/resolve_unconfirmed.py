"""mark_sent, send_again: what a person decides about mails of which nobody knows whether they arrived."""

from collections.abc import Sequence

from django.db import transaction

from campaigns import lifecycle
from campaigns.models import Campaign
from campaigns.services.reopen import go_on, lock_launched
from queue_core.services import Actor, audit
from queue_core.services.outcome import BulkOutcome

_REASON = "not unconfirmed"


def mark_sent(campaign: Campaign, ids: Sequence[int] | None = None, *, by: Actor | None = None) -> BulkOutcome:
    """Take unconfirmed mails for sent: recipients, those of `ids` or all, unconfirmed -> sent. Any launched campaign.

    A recipient in another state is skipped; so pressing twice changes nothing.
    """
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        outcome = _outcome(ids, lifecycle.resolve(locked.pk, ids, arrived=True))
        if outcome.changed:
            message = outcome.sentence("Marked as sent", "recipient")
            audit.record(Campaign, [locked.pk], message, by=by, name=locked.name)
    return outcome


def send_again(campaign: Campaign, ids: Sequence[int] | None = None, *, by: Actor | None = None) -> BulkOutcome:
    """Mail unconfirmed recipients, those of `ids` or all, once more: they may get the mail twice.

    unconfirmed -> pending, a completed campaign -> sending. Recipients in another state are skipped; suppressed ones
    are not mailed. Raises WrongState before the launch and after a cancel.
    """
    with transaction.atomic():
        locked = lock_launched(campaign, "sent again")
        outcome = _outcome(ids, lifecycle.resolve(locked.pk, ids, arrived=False))
        if outcome.changed:
            go_on(locked)
            message = outcome.sentence("Sent again", "recipient")
            audit.record(Campaign, [locked.pk], message, by=by, name=locked.name)
    campaign.refresh_from_db()
    return outcome


def _outcome(ids: Sequence[int] | None, changed: int) -> BulkOutcome:
    return BulkOutcome(changed, 0 if ids is None else len(set(ids)) - changed, _REASON)
