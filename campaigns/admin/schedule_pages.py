"""The pages that set and take back when a campaign launches itself."""

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse

from campaigns import services
from campaigns.admin.forms import ScheduleForm
from campaigns.errors import CampaignError, NotReady, ScheduleRefused
from campaigns.models import Campaign
from queue_core.admin.ledger import actor, demand, find, page


def schedule(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET when; on POST it is set."""
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_launch_permission(request))
    form = ScheduleForm(request.POST or None, initial=_initial(campaign))
    if form.is_valid():
        given = form.cleaned_data
        try:
            made = services.schedule(campaign, given["moment"], late_minutes=given["late_minutes"], by=actor(request))
        except ScheduleRefused as exc:
            form.add_error(exc.field, str(exc))
        except CampaignError as exc:
            for text in exc.problems if isinstance(exc, NotReady) else [str(exc)]:
                messages.error(request, text)
            return _back_to(pk)
        else:
            messages.success(
                request, f"“{made.name}” will be launched at {given['at']:%d %b %Y, %H:%M} ({given['zone']})."
            )
            return _back_to(pk)
    context = {"form": form, "button": "Schedule", "back": _page_of(pk)}
    return page(model_admin, request, "queue_core/admin/form.html", title=f"Schedule {campaign}", **context)


def _initial(campaign: Campaign) -> dict[str, Any]:
    known = {"zone": settings.TIME_ZONE, "late_minutes": campaign.late_minutes}
    if campaign.scheduled_at:
        known["at"] = campaign.scheduled_at.astimezone(ZoneInfo(settings.TIME_ZONE)).replace(tzinfo=None)
    return known


def unschedule(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_launch_permission(request))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        services.unschedule(campaign, by=actor(request))
    except CampaignError as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, f"“{campaign.name}” is a draft again.")
    return _back_to(pk)


def _page_of(pk: int) -> str:
    return reverse("admin:campaigns_campaign_change", args=[pk])


def _back_to(pk: int) -> HttpResponse:
    return HttpResponseRedirect(_page_of(pk))
