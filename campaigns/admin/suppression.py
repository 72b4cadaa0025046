from functools import partial
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import display as label

from campaigns import services
from campaigns.addresses import search_prefix
from campaigns.admin import suppression_list
from campaigns.admin.forms import SuppressionForm
from campaigns.models import Suppression
from campaigns.states import SuppressionReason
from queue_core.admin.ledger import LedgerAdmin, actor
from queue_core.admin.times import moment

REASON_LABELS = {"unsubscribed": "info", "bounced": "danger", "complained": "warning", "manual": "default"}


class ReasonFilter(admin.SimpleListFilter):
    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, reason.label) for reason in SuppressionReason]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> QuerySet[Suppression]:
        return queryset.filter(reason=self.value()) if self.value() in SuppressionReason.values else queryset


@admin.register(Suppression)
class SuppressionAdmin(LedgerAdmin):
    form = SuppressionForm
    fields = ["email", "reason", "source"]
    list_display = ["email", "reason_label", "source", "campaign", "added"]
    list_filter = [ReasonFilter]
    lookups = ("reason",)
    list_select_related = ["campaign"]
    search_fields = ["key"]
    search_help_text = "Address, or its beginning"
    detail_template = "campaigns/admin/facts.html"
    list_before_template = "campaigns/admin/suppression_bar.html"

    def get_urls(self) -> list[URLPattern]:
        pages = {"import": suppression_list.import_list, "export": suppression_list.export}
        own = [
            path(f"{name}/", self.admin_site.admin_view(partial(view, self)), name=f"campaigns_suppression_{name}")
            for name, view in pages.items()
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        query = f"?{request.GET.urlencode()}" if request.GET else ""
        above = {
            "may_import": self.has_add_permission(request),
            "import_url": reverse("admin:campaigns_suppression_import"),
            "export_url": reverse("admin:campaigns_suppression_export") + query,
        }
        answer: HttpResponse = super().changelist_view(request, above)
        return answer

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("campaigns.add_suppression")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("campaigns.delete_suppression")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        return (queryset.filter(key__startswith=search_prefix(search_term)) if search_term else queryset), False

    def save_model(self, request: HttpRequest, obj: Suppression, form: SuppressionForm, change: bool) -> None:
        given = form.cleaned_data
        entry, _ = services.suppress(**given, by=actor(request))
        obj.pk = entry.pk

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        services.unsuppress(obj, by=actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        with transaction.atomic():
            for entry in queryset:
                services.unsuppress(entry, by=actor(request))

    def detail(self, request: HttpRequest, obj: Suppression) -> dict[str, Any]:
        remove = reverse("admin:campaigns_suppression_delete", args=[obj.pk])
        button = {"title": "Take off the list", "icon": "delete", "url": remove}
        return {
            "title": obj.email,
            "label": {"text": obj.reason, "type": REASON_LABELS[obj.reason]},
            "buttons": [button] if self.has_delete_permission(request) else [],
            "facts": [
                ("Source", obj.source or "–"),  # noqa: RUF001
                ("Campaign", obj.campaign or "–"),  # noqa: RUF001
                ("Added", moment(obj.created_at)),
            ],
        }

    @label(description="Reason", label=REASON_LABELS)  # type: ignore[untyped-decorator]
    def reason_label(self, suppression: Suppression) -> str:
        return suppression.reason

    @admin.display(description="Added")
    def added(self, suppression: Suppression) -> str:
        return moment(suppression.created_at)
