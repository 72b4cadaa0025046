"""schedule, unschedule, launch_due: a campaign that launches itself at a given time, once, and never too late."""

import datetime
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import NotReady, ScheduleRefused, WrongState
from campaigns.models import Campaign
from campaigns.services.launch import launch
from campaigns.services.launch_task import submit_launch, withdraw_launch
from campaigns.services.preflight import problems
from campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState
from campaigns.wall_clock import in_words, zone_of
from queue_core.services import Actor, audit
from queue_core.services.clock import database_time

LATE_MINUTES = range(1, 10_081)
# The fields of a campaign that say when.
PLAN = frozenset({"scheduled_at", "timezone", "late_minutes"})
_FARTHEST = datetime.timedelta(days=2 * 366)


def schedule(
    campaign: Campaign,
    at: datetime.datetime,
    *,
    late_minutes: int | None = None,
    timezone: str | None = None,
    by: Actor | None = None,
) -> Campaign:
    """draft, scheduled -> scheduled: launch it at `at` (aware), and no later than `late_minutes` after that.

    `timezone` (IANA) is whose clocks it is shown by. What is None stays as the campaign has it.
    When it is too late by then, or something blocks the launch, it is a draft again and its trouble says why. Raises
    ScheduleRefused, NotReady with what blocks a launch already now, or WrongState; then nothing has changed.
    """
    with transaction.atomic():
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        minutes = locked.late_minutes if late_minutes is None else late_minutes
        zone = timezone or locked.timezone
        check_minutes(minutes)
        check_time(at, timezone=zone)
        if locked.state not in CAMPAIGN_TRANSITIONS["schedule"]:
            raise WrongState(locked.name, locked.state, "scheduled")
        found = problems(locked)
        if found:
            raise NotReady(found)
        lifecycle.move_campaign(
            "schedule",
            locked.pk,
            scheduled_at=at,
            late_minutes=minutes,
            timezone=zone,
            scheduled_by_id=audit.user_id(by),
            trouble="",
        )
        submit_launch(locked, at)
        message = f"Scheduled for {in_words(at, zone)}."
        audit.record(Campaign, [locked.pk], message, by=by, name=locked.name)
    locked.refresh_from_db()
    return locked


def check_minutes(late_minutes: int) -> None:
    """Raises ScheduleRefused for what is no length of time, or more than a week."""
    if late_minutes not in LATE_MINUTES:
        raise ScheduleRefused("late_minutes", f"Write a number of minutes from 1 to {LATE_MINUTES[-1]}, a week.")


def check_time(at: datetime.datetime, field: str = "at", *, timezone: str = "UTC") -> None:
    """Raises ScheduleRefused for `field` when nothing can be launched then; `timezone` is whose clocks it tells of."""
    if at.tzinfo is None:
        raise ScheduleRefused(field, "Say which time zone this is in.")
    now = database_time()
    if at <= now:
        raise ScheduleRefused(field, f"This is in the past; now it is {in_words(now, timezone)}.")
    if at > now + _FARTHEST:
        raise ScheduleRefused(field, "This is more than two years away.")


def check_plan(values: Mapping[str, Any]) -> None:
    """Of the fields of a campaign those of PLAN: raises ScheduleRefused for one that cannot be."""
    timezone = values.get("timezone", "UTC")
    zone_of(timezone)
    if "late_minutes" in values:
        check_minutes(values["late_minutes"])
    if values.get("scheduled_at") is not None:
        check_time(values["scheduled_at"], "scheduled_at", timezone=timezone)


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
    planned = in_words(campaign.scheduled_at, campaign.timezone) if campaign.scheduled_at else "a time"
    text = f"Not launched as scheduled for {planned}: {reason.rstrip('.')}."
    _back_to_draft(campaign.pk, text)
    return text
