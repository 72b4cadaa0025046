"""The pages that set and take back when a campaign launches itself."""

from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse

from campaigns import services
from campaigns.admin.forms import ScheduleForm
from campaigns.errors import CampaignError, NotReady, ScheduleRefused
from campaigns.models import Campaign
from campaigns.wall_clock import in_words
from queue_core.admin.ledger import actor, demand, find, page


def schedule(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET when; on POST it is set."""
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_launch_permission(request))
    form = ScheduleForm(request.POST or None, initial=_initial(campaign))
    if form.is_valid():
        at = form.cleaned_data["moment"]
        plan = {name: form.cleaned_data[name] for name in ("late_minutes", "timezone")}
        try:
            made = services.schedule(campaign, at, **plan, by=actor(request))
        except ScheduleRefused as exc:
            form.add_error(exc.field, str(exc))
        except CampaignError as exc:
            for text in exc.problems if isinstance(exc, NotReady) else [str(exc)]:
                messages.error(request, text)
            return _back_to(pk)
        else:
            messages.success(request, f"“{made.name}” will be launched at {in_words(at, made.timezone)}.")
            return _back_to(pk)
    return page(
        model_admin,
        request,
        "campaigns/admin/schedule.html",
        title=f"Schedule {campaign}",
        original=campaign,
        form=form,
        button="Schedule",
        back=_page_of(pk),
        # Who sets the first time is offered the zone of the browser.
        is_new=not form.is_bound and campaign.scheduled_at is None,
    )


def _initial(campaign: Campaign) -> dict[str, Any]:
    known: dict[str, Any] = {"timezone": campaign.timezone, "late_minutes": campaign.late_minutes}
    if campaign.scheduled_at:
        known["at"] = f"{campaign.scheduled_at.astimezone(ZoneInfo(campaign.timezone)):%Y-%m-%dT%H:%M}"
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
