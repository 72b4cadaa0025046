"""launch: start a campaign, once, with its audience and template version pinned."""

from django.db import transaction
from django.utils import timezone

from campaigns import lifecycle
from campaigns.errors import NotReady, WrongState
from campaigns.models import Campaign
from campaigns.services.chunk import submit_chunks, submit_conductor
from campaigns.services.launch_task import withdraw_launch
from campaigns.services.mailable import mailable
from campaigns.services.preflight import problems
from campaigns.states import CAMPAIGN_TRANSITIONS
from queue_core.services import Actor, audit


def launch(campaign: Campaign, *, by: Actor | None = None) -> Campaign:
    """draft, scheduled -> sending. Pins the template version and the audience, and puts the chunks in line.

    The row is locked and the move guarded: of two launches at once, one gets WrongState. Raises NotReady with every
    problem found; then nothing has changed. Touches no recipient row.
    """
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if locked.state not in CAMPAIGN_TRANSITIONS["launch"]:
            raise WrongState(locked.name, locked.state, "launched")
        withdraw_launch(locked.pk)
        found = problems(locked)
        if found:
            raise NotReady(found)
        now = mailable(locked)
        lifecycle.move_campaign(
            "launch",
            locked.pk,
            template_version=locked.template.current_version,
            total=sum(lifecycle.counts(locked.pk).values()),
            launched_at=timezone.now(),
            launched_by_id=audit.user_id(by),
            trouble="",
        )
        audit.record(Campaign, [locked.pk], f"Launched: {now.words} to mail.", by=by, name=locked.name)
        lifecycle.note_pace(locked.pk)
        submit_chunks(locked.pk)
        submit_conductor(locked.pk)
    locked.refresh_from_db()
    return locked
