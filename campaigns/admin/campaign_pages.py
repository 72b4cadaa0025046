"""The campaign admin's own pages: status, launch, pause, resume, cancel, import. Each calls one verb."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

from campaigns import services
from campaigns.admin import import_preview
from campaigns.admin.forms import ImportForm, RateForm
from campaigns.admin.progress import live
from campaigns.errors import CampaignError, NotReady
from campaigns.intake.options import DELIMITERS
from campaigns.models import Campaign
from campaigns.states import CAMPAIGN_TRANSITIONS, PreflightLevel
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.texts import grouped

_SHOWN_REJECTED = 100
# Of the recipients, for the checklist; the launch itself looks at all.
_LOOKED_AT = 20_000


def status(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """What `status.js` asks for: JSON of `progress.live`."""
    answer = JsonResponse(live(services.status(find(model_admin, request, pk))))
    answer["Cache-Control"] = "no-store"
    return answer


def launch(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Says on GET who would be mailed what; launches on POST."""
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_launch_permission(request))
    if request.method == "POST":
        return _do(request, campaign, "Launched", services.launch)
    if campaign.state not in CAMPAIGN_TRANSITIONS["launch"]:
        messages.error(request, f"The campaign is {campaign.state}: it cannot be launched.")
        return _back_to(campaign)
    checked = checklist(campaign)
    if not checked["is_ready"]:
        messages.error(request, "This campaign cannot be launched yet: see what blocks it below.")
        return _back_to(campaign)
    now = services.mailable(campaign, _LOOKED_AT)
    return page(
        model_admin,
        request,
        "campaigns/admin/launch.html",
        title=f"Launch {campaign}",
        original=campaign,
        question=f"Mail “{campaign.name}” to {now.words} now?",
        facts=[
            ("Recipients", now.number),
            ("Suppressed, not mailed", grouped(now.suppressed)),
            ("Template", f"{campaign.template}, {campaign.template.version}"),
            ("From", campaign.from_email),
            ("Replies to", campaign.reply_to or "the sender"),
        ],
        button=f"Launch: mail {now.words}",
        variant="primary",
        back=_page_of(campaign),
        **checked,
    )


def checklist(campaign: Campaign) -> dict[str, Any]:
    """What `checklist.html` shows: `items` and whether it `is_ready`; as quick for millions as for few."""
    items = services.preflight(campaign, people=_LOOKED_AT)
    return {"items": items, "is_ready": all(item.level != PreflightLevel.BLOCK for item in items)}


def pause(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    return _on_post(model_admin, request, pk, "Paused", services.pause)


def resume(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    return _on_post(model_admin, request, pk, "Resumed", services.resume)


def _on_post(
    model_admin: ModelAdmin, request: HttpRequest, pk: int, done: str, verb: Callable[..., Campaign]
) -> HttpResponse:
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_launch_permission(request))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    return _do(request, campaign, done, verb)


def rate(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET how fast it may be sent; on POST that holds from the next mails on."""
    campaign = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.change_campaign"))
    form = RateForm(request.POST or None, initial={"rate_per_minute": campaign.rate_per_minute})
    if form.is_valid():
        return _do(request, campaign, "Set the rate of", partial(services.edit_campaign, **form.cleaned_data))
    context = {"form": form, "button": "Save", "back": _page_of(campaign)}
    title = f"Rate of {campaign}"
    return page(model_admin, request, "queue_core/admin/form.html", title=title, original=campaign, **context)


def cancel(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, cancels on POST."""
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_launch_permission(request))
    if request.method == "POST":
        return _do(request, campaign, "Cancelled", services.cancel)
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"Cancel {campaign}",
        original=campaign,
        question=f"Cancel “{campaign.name}” for good? Nobody else is mailed then; to stop for a while, pause it.",
        button="Cancel this campaign",
        back=_page_of(campaign),
    )


def remove(model_admin: ModelAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Asks on GET, deletes on POST; either says why it cannot be."""
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_delete_permission(request))
    try:
        if request.method == "POST":
            services.delete_campaign(campaign, by=actor(request))
        else:
            services.demand_deletable(campaign)
    except CampaignError as exc:
        messages.error(request, str(exc))
        return _back_to(campaign)
    if request.method == "POST":
        messages.success(request, f"Deleted “{campaign.name}”.")
        return HttpResponseRedirect(reverse("admin:campaigns_campaign_changelist"))
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"Delete {campaign}",
        original=campaign,
        question=f"Delete “{campaign.name}” with its recipients and what became of each? Suppressions stay.",
        button="Delete this campaign",
        back=_page_of(campaign),
    )


def _do(request: HttpRequest, campaign: Campaign, done: str, verb: Callable[..., Campaign]) -> HttpResponse:
    try:
        verb(campaign, by=actor(request))
    except NotReady as exc:
        for problem in exc.problems:
            messages.error(request, problem)
    except CampaignError as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, f"{done} “{campaign.name}”.")
    return _back_to(campaign)


def import_file(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks for a file on GET; on POST keeps it and goes on to its page, where it is looked at and imported."""
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_import_permission(request))
    try:
        services.demand_draft(campaign.pk)
    except CampaignError as exc:
        messages.error(request, str(exc))
        return _back_to(campaign)
    form = ImportForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        upload = form.cleaned_data["file"]
        try:
            made = services.upload_import(campaign, upload.file, filename=upload.name, by=actor(request))
        except CampaignError as exc:
            form.add_error("file", f"{exc} Nothing was imported.")
        else:
            import_preview.look(made)
            return HttpResponseRedirect(reverse("admin:campaigns_recipientimport_change", args=[made.pk]))
    context = {"form": form, "button": "Look at it", "back": _page_of(campaign)}
    title = f"Import recipients into {campaign}"
    return page(model_admin, request, "queue_core/admin/form.html", title=title, original=campaign, **context)


def numbers(source: Any, *, planned: bool = False) -> list[tuple[str, str]]:
    """(label, number) of what became of the lines of a file, or would; `source` is a Report or a RecipientImport."""
    labels = {
        "records": "Rows in the file",
        "created": "Would be added" if planned else "Added",
        "suppressed": "Of these suppressed",
        "duplicates": "Twice in the file",
        "existing": "In the campaign already" if planned else "In the campaign before",
        "invalid": "Rejected",
        "blank": "Blank lines",
    }
    return [(label, grouped(getattr(source, name))) for name, label in labels.items()]


def reading(found: dict[str, Any]) -> list[tuple[str, str]]:
    """(label, text) of how a file was read."""
    sign = DELIMITERS.get(found.get("delimiter", ""), "")
    columns = [f"{title or '–'} → {target or 'ignored'}" for title, target in found.get("columns", [])]  # noqa: RUF001
    told = {
        "Encoding": found.get("encoding", ""),
        "Delimiter": sign,
        "Sheet": found.get("sheet", ""),
        "Columns": ", ".join(columns[:_SHOWN_REJECTED]),
        "Note": " ".join(found.get("notes", [])),
    }
    return [(label, text) for label, text in told.items() if text]


def _page_of(campaign: Campaign) -> str:
    return reverse("admin:campaigns_campaign_change", args=[campaign.pk])


def _back_to(campaign: Campaign) -> HttpResponse:
    return HttpResponseRedirect(_page_of(campaign))
