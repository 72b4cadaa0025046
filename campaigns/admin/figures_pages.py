"""The pages of a campaign as a whole: its figures, its ledger as a file, a copy of it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from campaigns import services
from campaigns.admin.forms import DuplicateForm
from campaigns.errors import CampaignError
from campaigns.states import EventKind, RecipientState
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.admin.times import moment
from queue_core.texts import grouped

_SHOWN_HOURS = 48
_SHOWN_PEOPLE = 100
_CSV = "text/csv; charset=utf-8"
_KINDS = ("sent", "deferred", "rejected", "bounced", "complained", "opened", "clicked", "unsubscribed")


def figures(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Numbers by event, hour, link and domain; each link leads to who clicked it, for those who may see that."""
    campaign = find(model_admin, request, pk)
    stats = services.campaign_stats(campaign)
    hours = stats["hours"][-_SHOWN_HOURS:]
    people = _People(pk, may_see=request.user.has_perm("campaigns.view_recipient"))
    kinds = [kind for kind in _KINDS if any(hour.get(kind) for hour in hours)]
    return page(
        model_admin,
        request,
        "campaigns/admin/figures.html",
        title=f"Figures of {campaign}",
        original=campaign,
        now=_shown(stats["states"]),
        happened=[(kind.capitalize(), people.linked(number, kind=kind)) for kind, number in stats["events"].items()],
        kinds=kinds,
        zone=timezone.get_current_timezone_name(),
        hours=[(moment(hour["hour"]), [grouped(hour.get(kind, 0)) for kind in kinds]) for hour in reversed(hours)],
        domains=[
            (row["domain"], [grouped(row[name]) for name in ("recipients", "sent", "deferred", "refused")])
            for row in stats["domains"]
        ],
        domains_of=grouped(stats["domains_of"]),
        domains_shown=len(stats["domains"]) if stats["more_domains"] else 0,
        links=[_clicks(row, people, stats["states"]["sent"]) for row in stats["links"]],
        links_shown=len(stats["links"]) if stats["more_links"] else 0,
        is_sample=stats["domains_of"] < stats["total"],
        back=_page_of(pk),
    )


@dataclass(frozen=True, slots=True)
class _People:
    """Numbers that lead to those behind them, for who may see recipients."""

    campaign: int
    may_see: bool

    def linked(self, number: int, **chosen: Any) -> str:
        if not (number and self.may_see):
            return grouped(number)
        url = f"{reverse('admin:campaigns_campaign_events', args=[self.campaign])}?{urlencode(chosen)}"
        return format_html('<a class="ph-link" href="{}">{}</a>', url, grouped(number))


def _clicks(row: dict[str, Any], people: _People, sent: int) -> tuple[str, list[str]]:
    """The link, and who clicked it: how many, which share of those who got the mail, how often."""
    who = people.linked(row["people"], kind=EventKind.CLICKED, link=row["id"])
    share = f"{row['people'] * 100 / sent:.1f} %" if sent else "–"  # noqa: RUF001
    return row["url"], [who, share, grouped(row["clicks"])]


def _shown(numbers: dict[str, int]) -> list[tuple[str, str]]:
    return [(name.capitalize(), grouped(number)) for name, number in numbers.items()]


def export(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """The ledger as CSV, of one `?state=` or all."""
    campaign = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.view_recipient"))
    state = request.GET.get("state", "")
    lines = services.export_campaign(campaign, state=state if state in RecipientState.values else "")
    answer = StreamingHttpResponse(lines, content_type=_CSV)
    answer["Content-Disposition"] = f'attachment; filename="campaign-{pk}.csv"'
    return answer


def lacking(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """Who lacks `?variable=`: the first hundred, or all as `?csv=1`."""
    campaign = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.view_recipient"))
    variable = request.GET.get("variable", "")
    try:
        if request.GET.get("csv"):
            answer = StreamingHttpResponse(services.export_lacking(campaign, variable), content_type=_CSV)
            answer["Content-Disposition"] = f'attachment; filename="campaign-{pk}-lacking.csv"'
            return answer
        people = services.who_lacks(campaign, variable, limit=_SHOWN_PEOPLE + 1)
    except CampaignError as exc:
        messages.error(request, str(exc))
        return HttpResponseRedirect(_page_of(pk))
    return page(
        model_admin,
        request,
        "campaigns/admin/lacking.html",
        title=f"Who lacks {variable}",
        original=campaign,
        people=[(reverse("admin:campaigns_recipient_change", args=[key]), email, name) for key, email, name in people],
        is_more=len(people) > _SHOWN_PEOPLE,
        csv=f"{request.path}?{urlencode({'variable': variable, 'csv': '1'})}",
        back=_page_of(pk),
    )


def duplicate(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET for a name; on POST makes the copy and goes to it."""
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_add_permission(request))
    form = DuplicateForm(request.POST or None, initial={"name": f"Copy of {campaign.name}"[:200]})
    if not request.user.has_perm("campaigns.add_recipient"):
        demand("recipients" not in request.POST)
        del form.fields["recipients"]
    if form.is_valid():
        try:
            made = services.duplicate_campaign(campaign, **form.cleaned_data, by=actor(request))
        except CampaignError as exc:
            form.add_error("recipients" if "recipients" in form.fields else None, str(exc))
        else:
            messages.success(request, f"“{made.name}” is a draft that says the same.")
            return HttpResponseRedirect(_page_of(made.pk))
    context = {"form": form, "button": "Duplicate", "back": _page_of(pk)}
    title = f"Duplicate {campaign}"
    return page(model_admin, request, "queue_core/admin/form.html", title=title, original=campaign, **context)


def _page_of(pk: int) -> str:
    return reverse("admin:campaigns_campaign_change", args=[pk])
