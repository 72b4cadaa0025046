"""The queue task that launches a scheduled campaign when its time has come."""

import datetime

from campaigns.models import Campaign
from queue_core import services as queue
from queue_core.models import Task
from queue_core.states import LIVE, TaskState

LAUNCH_DUE = "campaigns.launch_due"


def submit_launch(campaign: Campaign, at: datetime.datetime) -> None:
    """In line for that moment, instead of the one that waits already."""
    withdraw_launch(campaign.pk)
    payload = {"campaign": campaign.pk, "at": at.isoformat()}
    queue.submit(LAUNCH_DUE, payload, run_at=at, unique_key=str(campaign.pk))


def withdraw_launch(campaign_id: int) -> None:
    """Only one that waits: one that runs finds out by itself."""
    waiting = Task.objects.filter(name=LAUNCH_DUE, unique_key=str(campaign_id), state=TaskState.QUEUED)
    queue.cancel(list(waiting.values_list("pk", flat=True)))


def has_launch_task(campaign_id: int) -> bool:
    return Task.objects.filter(name=LAUNCH_DUE, unique_key=str(campaign_id), state__in=LIVE).exists()
