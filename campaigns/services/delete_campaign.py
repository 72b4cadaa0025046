from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import NotReady, WrongState
from campaigns.models import Campaign, CampaignEvent, CampaignTask, Recipient
from campaigns.services import import_file
from campaigns.states import CampaignState, RecipientState
from queue_core import services as queue
from queue_core.services import Actor, audit
from queue_core.services.outcome import plural
from queue_core.texts import grouped

# What a mail may have left for: its unsubscribe link finds the address by the recipient's row.
_MAILED = (
    RecipientState.SENT,
    RecipientState.UNCONFIRMED,
    RecipientState.DEFERRED,
    RecipientState.REJECTED,
    RecipientState.BOUNCED,
)
_DELETABLE = (CampaignState.DRAFT, CampaignState.COMPLETED, CampaignState.CANCELLED)


def is_deletable(campaign: Campaign) -> bool:
    """Whether it may be deleted, as far as its state and its counts tell."""
    return campaign.state in _DELETABLE and not _mailed(lifecycle.counts(campaign.pk))


def demand_deletable(campaign: Campaign) -> None:
    """Raises what `delete_campaign` would."""
    if campaign.state not in _DELETABLE:
        raise WrongState(campaign.name, campaign.state, "deleted")
    counts = lifecycle.counts(campaign.pk)
    in_flight = counts[RecipientState.SENDING]
    if in_flight:
        raise NotReady([f"{grouped(in_flight)} of its messages are still in flight; try again in a few seconds."])
    # Also whom somebody wanted to be mailed again, and then cancelled.
    mailed = _mailed(counts) or Recipient.objects.filter(campaign=campaign, attempts__gt=0).count()
    if mailed:
        raise NotReady(
            [
                f"It has mailed {plural(mailed, 'recipient')}, whose unsubscribe links must go on working; "
                "only a campaign that mailed nobody can be deleted."
            ]
        )


def _mailed(counts: dict[str, int]) -> int:
    return sum(counts[state] for state in _MAILED)


def delete_campaign(campaign: Campaign, *, by: Actor | None = None) -> None:
    """Remove a campaign for good: its recipients, their outcomes, its imports and their files, its waiting tasks.

    draft, completed, cancelled; any other is a WrongState. Raises NotReady while messages of a cancelled one are
    still in flight, and for good once somebody was mailed: the unsubscribe links must go on working. Suppressions
    stay.
    """
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        lifecycle.recover(locked.pk)
        demand_deletable(locked)
        chunks = CampaignTask.objects.filter(campaign=locked, task__isnull=False)
        queue.cancel(list(chunks.values_list("task_id", flat=True)))
        CampaignEvent.objects.filter(campaign=locked).delete()
        people, _ = Recipient.objects.filter(campaign=locked).delete()
        message = f"Deleted with {plural(people, 'recipient')}."
        audit.record(Campaign, [locked.pk], message, by=by, flag=audit.DELETION, name=locked.name)
        import_file.forget_files_of(locked)
        locked.delete()
