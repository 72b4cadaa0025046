import json
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import display as label

from campaigns.addresses import search_prefix
from campaigns.admin import event_pages, recipient_pages
from campaigns.admin.progress import RECIPIENT_LABELS
from campaigns.message import MessageError, Skeleton, message_id
from campaigns.models import Campaign, CaughtMessage, Recipient
from campaigns.states import OPEN, RecipientState
from queue_core.admin.filters import tabs
from queue_core.admin.ledger import LedgerAdmin
from queue_core.admin.times import moment
from queue_core.texts import grouped

_OFFERED_CAMPAIGNS = 20
_SEARCHED_CAMPAIGNS = 1000


class CampaignFilter(admin.SimpleListFilter):
    title = "campaign"
    parameter_name = "campaign"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        latest = Campaign.objects.order_by("-pk").values_list("pk", "name")[:_OFFERED_CAMPAIGNS]
        return [(str(pk), name) for pk, name in latest]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Recipient]) -> QuerySet[Recipient]:
        chosen = chosen_campaign(request)
        return queryset if chosen is None else queryset.filter(campaign=chosen)


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.label) for state in RecipientState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Recipient]) -> QuerySet[Recipient]:
        """`state IN (OPEN)` is what the partial index of open rows is made for; the planner asks for it literally."""
        state = self.value()
        if state not in RecipientState.values:
            return queryset
        if state in OPEN:
            queryset = queryset.filter(state__in=OPEN)
        return queryset.filter(state=state)


def chosen_campaign(request: HttpRequest) -> int | None:
    text = request.GET.get("campaign", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@admin.register(Recipient)
class RecipientAdmin(LedgerAdmin):
    list_display = ["email", "name", "campaign", "state_label", "attempts", "reply", "sent"]
    list_filter = [CampaignFilter, StateFilter]
    lookups = ("campaign", "state")
    list_select_related = ["campaign"]
    search_fields = ["key"]
    search_help_text = f"Address, or its beginning; without a campaign in the latest {grouped(_SEARCHED_CAMPAIGNS)}"
    actions = None
    detail_template = "campaigns/admin/recipient.html"

    def get_urls(self) -> list[URLPattern]:
        pages: dict[str, Callable[..., HttpResponse]] = {
            "edit": recipient_pages.edit,
            "remove": recipient_pages.remove,
            **{name: partial(recipient_pages.decide, name=name) for name in recipient_pages.DECISIONS},
        }
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(partial(view, self)),
                name=f"campaigns_recipient_{name}",
            )
            for name, view in pages.items()
        ]
        return [*own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recipient]:
        return Recipient.objects.defer("attributes")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """Always by an index: one campaign's people by address, its notable ones and all campaigns newest first."""
        state = request.GET.get("state", "")
        is_listed_by_id = state in RecipientState.values and state != RecipientState.SENT
        return ["key"] if chosen_campaign(request) and not is_listed_by_id else ["-id"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Recipient], search_term: str
    ) -> tuple[QuerySet[Recipient], bool]:
        if not search_term:
            return queryset, False
        if chosen_campaign(request) is None:
            # The index begins with the campaign: naming them makes one look-up per campaign out of a scan.
            latest = Campaign.objects.order_by("-pk").values_list("pk", flat=True)[:_SEARCHED_CAMPAIGNS]
            queryset = queryset.filter(campaign__in=list(latest))
        return queryset.filter(key__startswith=search_prefix(search_term)), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        states = ("pending", "sending", "sent", "deferred", "rejected", "bounced", "unconfirmed", "suppressed")
        chosen, campaign = request.GET.get("state", ""), chosen_campaign(request)
        above = tabs("campaigns.recipient", request.path, chosen, states, f"campaign={campaign}" if campaign else "")
        answer: HttpResponse = super().changelist_view(request, {"tab_list": above, "title": "Recipients"})
        return answer

    def detail(self, request: HttpRequest, obj: Recipient) -> dict[str, Any]:
        identity = message_id_of(obj)
        return {
            "title": obj.email,
            "label": {"text": obj.state, "type": RECIPIENT_LABELS[obj.state]},
            "facts": [
                ("Name", obj.name or "–"),  # noqa: RUF001
                ("Campaign", _link("campaigns_campaign_change", obj.campaign_id, obj.campaign.name)),
                ("Attempts", obj.attempts),
                ("SMTP code", obj.code or "–"),  # noqa: RUF001
                ("Imported", moment(obj.created_at)),
                ("Sent", moment(obj.sent_at)),
                ("Tried again", moment(obj.retry_at)),
                ("Message-ID", identity or "–"),  # noqa: RUF001
            ],
            "reply": obj.detail,
            **event_pages.of_recipient(obj),
            "attributes": json.dumps(obj.attributes, indent=2, ensure_ascii=False),
            "buttons": [*recipient_pages.buttons(request, obj), *_caught(request, identity)],
        }

    @label(description="State", label=RECIPIENT_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, recipient: Recipient) -> str:
        return recipient.state

    @admin.display(description="Reply")
    def reply(self, recipient: Recipient) -> str:
        text = event_pages.reply(recipient.code, recipient.detail)
        return text if len(text) <= 60 else f"{text[:59]}…"

    @admin.display(description="Sent")
    def sent(self, recipient: Recipient) -> str:
        return moment(recipient.sent_at)


def message_id_of(recipient: Recipient) -> str:
    """The Message-ID of the mail to this recipient; "" while the sender's address is unusable."""
    try:
        domain = Skeleton(recipient.campaign.from_email).sender.domain
    except MessageError:
        return ""
    return message_id(recipient.campaign_id, recipient.pk, domain, settings.SECRET_KEY.encode())


def _caught(request: HttpRequest, identity: str) -> list[dict[str, Any]]:
    if not request.user.has_perm("campaigns.view_caughtmessage"):
        return []
    caught = CaughtMessage.objects.filter(message_id=identity).values_list("pk", flat=True)[:1]
    return [
        {"title": "Show the mail", "icon": "mail", "url": reverse("admin:campaigns_caughtmessage_change", args=[pk])}
        for pk in caught
    ]


def _link(page: str, pk: int, text: str) -> str:
    return format_html('<a class="ph-link" href="{}">{}</a>', reverse(f"admin:{page}", args=[pk]), text)
