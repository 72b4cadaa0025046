"""oversee: what campaigns and imports need of the queue is put in line again where it was taken away."""

from typing import TypeVar

from django.db import transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast

from campaigns import lifecycle
from campaigns.models import Campaign, CampaignCount, RecipientImport
from campaigns.services.check_import import CHECK_FILE
from campaigns.services.chunk import CONDUCT, submit_conductor
from campaigns.services.import_task import live_tasks
from campaigns.services.launch_task import LAUNCH_DUE, has_launch_task, submit_launch
from campaigns.services.run_import import give_up_import
from campaigns.services.start_import import IMPORT_FILE
from campaigns.states import LIVE_IMPORT, CampaignState, ImportState, RecipientState
from queue_core.models import Task

_Row = TypeVar("_Row", bound=Model)

OVERSEE = "campaigns.oversee"
_LIMIT = 100
_GONE = "Its task was cancelled, or lost its worker too often"


def oversee() -> dict[str, int]:
    """Every five minutes, by a schedule: how many had lost their task, by what became of them.

    Campaigns under way get another conductor, which puts their recipients in line again, and cancelled ones of which
    somebody is still in flight; scheduled ones are launched, or not, as if the task had been late. Imports fail, and
    can be begun again where they stopped; checks end.
    """
    return {
        "conducted": _conducted(),
        "scheduled": _scheduled(),
        "imports_failed": _imports_failed(),
        "checks_ended": _checks_ended(),
    }


def _without(rows: QuerySet[_Row], live: QuerySet[Task]) -> QuerySet[_Row]:
    return rows.filter(~Exists(live)).order_by("pk")[:_LIMIT]


def _live(task: str) -> QuerySet[Task]:
    return Task.objects.live().filter(name=task, unique_key=Cast(OuterRef("pk"), TextField()))


def _conducted() -> int:
    of_campaign = CampaignCount.objects.filter(campaign=OuterRef("pk"), state=RecipientState.SENDING)
    in_flight = of_campaign.values("campaign").annotate(total=Sum("n")).filter(total__gt=0)
    under_way = Q(state__in=(CampaignState.SENDING, CampaignState.PAUSED))
    unsettled = Q(Exists(in_flight), state=CampaignState.CANCELLED)
    found = list(_without(Campaign.objects.filter(under_way | unsettled), _live(CONDUCT)).values_list("pk", flat=True))
    for pk in found:
        submit_conductor(pk)
    return len(found)


def _scheduled() -> int:
    with transaction.atomic():
        found = list(
            _without(Campaign.objects.filter(state=CampaignState.SCHEDULED), _live(LAUNCH_DUE)).select_for_update()
        )
        # Asked again behind the lock: one that has just been scheduled has its task.
        times = [(one, one.scheduled_at) for one in found if one.scheduled_at and not has_launch_task(one.pk)]
        for campaign, at in times:
            submit_launch(campaign, at)
    return len(times)


def _imports_failed() -> int:
    found = list(_without(RecipientImport.objects.filter(state__in=LIVE_IMPORT), live_tasks(IMPORT_FILE)))
    for job in found:
        give_up_import(job.pk, f"{_GONE}. Begin it again: it goes on where it stopped.")
    return len(found)


def _checks_ended() -> int:
    found = list(_without(RecipientImport.objects.filter(state=ImportState.CHECKING), live_tasks(CHECK_FILE)))
    for job in found:
        lifecycle.move_import("end_check", job.pk, error=f"{_GONE}. Check it again.")
    return len(found)
