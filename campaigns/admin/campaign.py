import datetime
import json
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display as label

from campaigns import services
from campaigns.admin import (
    again_pages,
    campaign_buttons,
    campaign_pages,
    event_pages,
    figures_pages,
    preview_pages,
    schedule_pages,
)
from campaigns.admin.by_verb import SavesByVerb
from campaigns.admin.forms import CampaignForm
from campaigns.admin.progress import CAMPAIGN_LABELS, bar, panel, with_progress
from campaigns.models import Campaign
from campaigns.states import CampaignState
from campaigns.wall_clock import in_words
from queue_core.admin.filters import tabs
from queue_core.admin.ledger import LedgerAdmin, demand, find, page
from queue_core.admin.times import moment
from queue_core.texts import grouped

_NONE = "–"  # noqa: RUF001 - a dash it is


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.label) for state in CampaignState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> QuerySet[Campaign]:
        return queryset.filter(state=self.value()) if self.value() in CampaignState.values else queryset


@admin.register(Campaign)
class CampaignAdmin(SavesByVerb, LedgerAdmin):
    form = CampaignForm
    list_display = ["name", "state_label", "progress", "sent", "template", "launched"]
    list_filter = [StateFilter]
    lookups = ("state",)
    search_fields = ["name"]
    list_select_related = ["template"]
    actions = None
    fields = [
        "name",
        "template",
        "from_email",
        "reply_to",
        "transport",
        "rate_per_minute",
        "unconfirmed",
        "track_opens",
        "track_clicks",
        "context",
    ]
    change_form_before_template = "campaigns/admin/revision.html"
    change_form_outer_before_template = "campaigns/admin/panel.html"
    detail_template = "campaigns/admin/campaign.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        return with_progress(Campaign.objects.all())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        states = tuple(CampaignState.values)
        above = tabs("campaigns.campaign", request.path, request.GET.get("state", ""), states)
        answer: HttpResponse = super().changelist_view(request, {"tab_list": above, "title": "Campaigns"})
        return answer

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "status.json": ("status", campaign_pages.status),
            "launch/": ("launch", campaign_pages.launch),
            "schedule/": ("schedule", schedule_pages.schedule),
            "unschedule/": ("unschedule", schedule_pages.unschedule),
            "figures/": ("figures", figures_pages.figures),
            "retry-failed/": ("retry-failed", again_pages.retry_failed),
            "events/": ("events", event_pages.events),
            "lacking/": ("lacking", figures_pages.lacking),
            "export/": ("export", figures_pages.export),
            "duplicate/": ("duplicate", figures_pages.duplicate),
            "preview/": ("preview", preview_pages.preview),
            "pause/": ("pause", campaign_pages.pause),
            "resume/": ("resume", campaign_pages.resume),
            "rate/": ("rate", campaign_pages.rate),
            "cancel/": ("cancel", campaign_pages.cancel),
            "import/": ("import", campaign_pages.import_file),
        }
        own = [
            path(f"<int:pk>/{end}", self.admin_site.admin_view(partial(view, self)), name=f"campaigns_campaign_{name}")
            for end, (name, view) in pages.items()
        ]
        own += [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(partial(again_pages.ask, self, name=name)),
                name=f"campaigns_campaign_{name}",
            )
            for name in again_pages.VERBS
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("campaigns.add_campaign")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Drafts only: what has been launched stays as it was sent."""
        is_draft = obj is None or getattr(obj, "state", "") == CampaignState.DRAFT
        return is_draft and request.user.has_perm("campaigns.change_campaign")

    def has_launch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("campaigns.launch_campaign")

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("campaigns.add_recipient")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("campaigns.delete_campaign")

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return campaign_pages.remove(self, request, object_id)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A draft is a form below its checklist; a launched campaign is a page to read."""
        campaign = find(self, request, object_id)
        if request.method == "POST" and campaign.state != CampaignState.DRAFT:
            return self._too_late(request, campaign)
        context = self.detail(request, campaign)
        if not self.has_change_permission(request, campaign):
            return page(self, request, self.detail_template, original=campaign, **context)
        answer: HttpResponse = self.changeform_view(request, object_id, form_url, {**context, "show_delete": False})
        return answer

    def _too_late(self, request: HttpRequest, campaign: Campaign) -> HttpResponse:
        """For who had the form of a draft open that somebody has launched meanwhile."""
        demand(request.user.has_perm("campaigns.change_campaign"))
        messages.error(request, f"“{campaign.name}” is {campaign.state} meanwhile: your change was not saved.")
        return HttpResponseRedirect(request.path)

    def detail(self, request: HttpRequest, obj: Campaign) -> dict[str, Any]:
        is_draft = obj.state == CampaignState.DRAFT
        now = services.status(obj)
        return {
            "title": obj.name,
            "label": {"text": obj.state, "type": CAMPAIGN_LABELS[obj.state]},
            "buttons": campaign_buttons.buttons(self, request, obj, now),
            "panel": panel(now, is_linked=request.user.has_perm("campaigns.view_recipient")),
            "is_draft": is_draft,
            **(campaign_pages.checklist(obj) if is_draft else {}),
            "facts": [
                ("State", now["summary"]),
                ("Template", f"{obj.template}, {obj.template_version or obj.template.version}"),
                ("From", obj.from_email),
                ("Replies to", obj.reply_to or "the sender"),
                ("Transport", obj.transport or "by priority"),
                ("Limit", f"{grouped(obj.rate_per_minute)} mails per minute" if obj.rate_per_minute else "none"),
                ("Tracks", _tracked(obj)),
                ("Unconfirmed mails", obj.get_unconfirmed_display()),
                ("Created", _zoned(obj.created_at)),
                ("Scheduled for", in_words(obj.scheduled_at, obj.timezone) if obj.scheduled_at else _NONE),
                ("Launched", _zoned(obj.launched_at)),
                ("Launched by", obj.launched_by or _NONE),
                ("Finished", _zoned(obj.finished_at)),
            ],
            "values": json.dumps(obj.context, indent=2, ensure_ascii=False) if obj.context else "",
        }

    @label(description="State", label=CAMPAIGN_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, campaign: Campaign) -> str:
        return campaign.state

    @admin.display(description="Progress")
    def progress(self, campaign: Campaign) -> SafeString:
        return bar(campaign)

    @admin.display(description="Sent")
    def sent(self, campaign: Any) -> str:
        return f"{grouped(campaign.n_sent)} / {grouped(campaign.n_to_mail)}"

    @admin.display(description="Launched")
    def launched(self, campaign: Campaign) -> str:
        return moment(campaign.launched_at)


def _zoned(at: datetime.datetime | None) -> str:
    return f"{moment(at)} {timezone.localtime(at).tzname()}" if at else _NONE


def _tracked(campaign: Campaign) -> str:
    kinds = [name for name, on in (("opens", campaign.track_opens), ("clicks", campaign.track_clicks)) if on]
    return " and ".join(kinds) or "nothing"
