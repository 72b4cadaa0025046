"""schedule, unschedule, launch_due: a campaign that launches itself at a given time, once, and never too late."""

import datetime

from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import NotReady, ScheduleRefused, WrongState
from campaigns.models import Campaign
from campaigns.services.launch import launch
from campaigns.services.launch_task import submit_launch, withdraw_launch
from campaigns.services.preflight import problems
from campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState
from queue_core.services import Actor, audit
from queue_core.services.clock import database_time

LATE_MINUTES = range(1, 10_081)
_FARTHEST = datetime.timedelta(days=2 * 366)


def schedule(campaign: Campaign, at: datetime.datetime, *, late_minutes: int = 60, by: Actor | None = None) -> Campaign:
    """draft, scheduled -> scheduled: launch it at `at` (aware), and no later than `late_minutes` after that.

    When it is too late by then, or something blocks the launch, it is a draft again and its trouble says why. Raises
    ScheduleRefused, NotReady with what blocks a launch already now, or WrongState; then nothing has changed.
    """
    _check_minutes(late_minutes)
    check_time(at)
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if locked.state not in CAMPAIGN_TRANSITIONS["schedule"]:
            raise WrongState(locked.name, locked.state, "scheduled")
        found = problems(locked)
        if found:
            raise NotReady(found)
        lifecycle.move_campaign(
            "schedule",
            locked.pk,
            scheduled_at=at,
            late_minutes=late_minutes,
            scheduled_by_id=audit.user_id(by),
            trouble="",
        )
        submit_launch(locked, at)
        message = f"Scheduled for {at.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC."
        audit.record(Campaign, [locked.pk], message, by=by, name=locked.name)
    locked.refresh_from_db()
    return locked


def _check_minutes(late_minutes: int) -> None:
    if late_minutes not in LATE_MINUTES:
        raise ScheduleRefused("late_minutes", f"Write a number of minutes from 1 to {LATE_MINUTES[-1]}, a week.")


def check_time(at: datetime.datetime, field: str = "at") -> None:
    """Raises ScheduleRefused for `field` when nothing can be launched then."""
    if at.tzinfo is None:
        raise ScheduleRefused(field, "Say which time zone this is in.")
    now = database_time()
    if at <= now:
        raise ScheduleRefused(field, f"This is in the past; now it is {now.astimezone(at.tzinfo):%Y-%m-%d %H:%M}.")
    if at > now + _FARTHEST:
        raise ScheduleRefused(field, "This is more than two years away.")


def unschedule(campaign: Campaign, *, by: Actor | None = None) -> Campaign:
    """scheduled -> draft. Raises WrongState."""
    with transaction.atomic():
        if _back_to_draft(campaign.pk, ""):
            withdraw_launch(campaign.pk)
            audit.record(Campaign, [campaign.pk], "Unscheduled.", by=by, name=campaign.name)
            campaign.refresh_from_db()
            return campaign
    campaign.refresh_from_db()
    raise WrongState(campaign.name, campaign.state, "unscheduled")


def _back_to_draft(campaign_id: int, trouble: str) -> bool:
    return lifecycle.move_campaign("unschedule", campaign_id, trouble=trouble, scheduled_at=None)


def launch_due(campaign_id: int, at: datetime.datetime) -> str:
    """Launch a campaign that was scheduled for just this moment; what became of it, in a sentence.

    The row is locked, so that of any number of tasks and persons one launches it.
    """
    with transaction.atomic():
        found = Campaign.objects.select_for_update().filter(pk=campaign_id).first()
        if found is None or found.state != CampaignState.SCHEDULED or found.scheduled_at != at:
            return "It is not scheduled for this time any more."
        late = database_time() - at
        if late > datetime.timedelta(minutes=found.late_minutes):
            return _gave_up(found, f"it was {late.total_seconds() / 60:.0f} minutes too late when its turn came")
        try:
            launch(found, by=Actor(found.scheduled_by, "schedule"))
        except NotReady as exc:
            return _gave_up(found, str(exc))
    return "Launched."


def _gave_up(campaign: Campaign, reason: str) -> str:
    planned = campaign.scheduled_at
    text = f"Not launched as scheduled for {planned:%Y-%m-%d %H:%M} UTC: {reason.rstrip('.')}."
    _back_to_draft(campaign.pk, text)
    return text
