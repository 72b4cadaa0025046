from functools import partial
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.text import Truncator
from unfold.decorators import display as label

from queue_core import bulk, services
from queue_core.admin.ledger import LedgerAdmin, actor, demand, find
from queue_core.admin.times import moment
from queue_core.models import BulkOperation
from queue_core.states import BulkState
from queue_core.texts import grouped

STATE_LABELS = {
    "pending": "info",
    "running": "primary",
    "stopping": "warning",
    "stopped": "default",
    "done": "success",
    "failed": "danger",
}
_SHOWN = 100


class BulkStateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.label) for state in BulkState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in BulkState.values else queryset


@admin.register(BulkOperation)
class BulkOperationAdmin(LedgerAdmin):
    list_display = ["number", "verb", "scope", "state_label", "done", "changed", "skipped", "failed", "user", "created"]
    list_display_links = ["number", "verb"]
    list_filter = [BulkStateFilter]
    lookups = ("state",)
    actions = None
    detail_template = "queue_core/admin/bulk_operation.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = BulkOperation.objects.for_list()
        return rows if super().has_view_permission(request) else rows.filter(user=request.user.pk)

    def get_urls(self) -> list[URLPattern]:
        site_view = self.admin_site.admin_view
        own = [
            path("<int:pk>/stop/", site_view(partial(stop, self)), name="queue_core_bulkoperation_stop"),
        ]
        return [*own, *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For all who may start one: without the permission to see those of others, they find their own here."""
        return super().has_view_permission(request, obj) or any(
            request.user.has_perm(verb.permission) for verb in bulk.every()
        )

    def may_stop(self, request: HttpRequest, operation: BulkOperation) -> bool:
        return operation.user_id == request.user.pk or request.user.has_perm("queue_core.change_bulkoperation")

    def detail(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        can_stop = obj.state in (BulkState.PENDING, BulkState.RUNNING) and self.may_stop(request, obj)
        stop_url = reverse("admin:queue_core_bulkoperation_stop", args=[obj.pk])
        ids, refusals = (obj.ids or [])[:_SHOWN], obj.refusals[:_SHOWN]
        links = _links(obj, {*ids, *(pk for pk, _ in refusals)})
        return {
            "title": f"{obj.verb.replace('_', ' ').capitalize()} #{obj.pk}",
            "label": {"text": obj.state, "type": STATE_LABELS[obj.state]},
            "buttons": [{"title": "Stop", "icon": "stop_circle", "url": stop_url, "post": True}] if can_stop else [],
            "is_live": not obj.is_over,
            "done": done(obj),
            "percent": round(obj.progress * 100, 1),
            "counts": [(name.capitalize(), grouped(getattr(obj, name))) for name in ("changed", "skipped", "failed")],
            "error": obj.error,
            "facts": facts(obj),
            "ids": [{"id": pk, "url": links.get(pk, "")} for pk in ids],
            "is_some_gone": any(pk not in links for pk in ids),
            "more_ids": len(obj.ids or []) > _SHOWN,
            "refusals": [{"id": pk, "reason": reason, "url": links.get(pk, "")} for pk, reason in refusals],
            "more_refusals": len(obj.refusals) > _SHOWN,
        }

    @admin.display(description="Id")
    def number(self, operation: BulkOperation) -> int:
        return operation.pk

    @admin.display(description="Works on")
    def scope(self, operation: Any) -> str:
        return Truncator(operation.scope).chars(60)

    @label(description="State", label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, operation: BulkOperation) -> str:
        return operation.state

    @admin.display(description="Done")
    def done(self, operation: BulkOperation) -> str:
        return f"{operation.progress:.0%}"

    @admin.display(description="Started")
    def created(self, operation: BulkOperation) -> str:
        return moment(operation.created_at)


def stop(model_admin: BulkOperationAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    operation: BulkOperation = find(model_admin, request, pk)
    demand(model_admin.may_stop(request, operation))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        services.stop_bulk(operation.pk, by=actor(request))
    except services.BulkOver as exc:
        messages.warning(request, str(exc))
    else:
        messages.success(request, "Asked to stop: it ends after the slice it is at.")
    return HttpResponseRedirect(reverse("admin:queue_core_bulkoperation_change", args=[pk]))


def done(operation: BulkOperation) -> str:
    matched = grouped(operation.matched)
    return f"{grouped(operation.seen)} of {matched if operation.is_exact else f'at least {matched}'}"


def facts(operation: BulkOperation) -> list[tuple[str, Any]]:
    """(label, value); values are ready to be shown."""
    params = ", ".join(f"{name}: {value}" for name, value in operation.params.items())
    return [
        ("Works on", operation.scope),
        ("Rows", operation.target.rpartition(".")[2]),
        ("With", params or "–"),  # noqa: RUF001
        ("Asked for by", operation.user or "–"),  # noqa: RUF001
        ("Through", operation.door or "the code"),
        ("Asked for", moment(operation.created_at)),
        ("Begun", moment(operation.started_at)),
        ("Last slice", moment(operation.heard_at)),
        ("Ended", moment(operation.finished_at)),
    ]


def _links(operation: BulkOperation, pks: set[int]) -> dict[int, str]:
    """{id: address} of those rows that are there, and have a page."""
    page = f"admin:{operation.target.replace('.', '_')}_change"
    there = apps.get_model(operation.target)._default_manager.filter(pk__in=pks).values_list("pk", flat=True)
    try:
        return {pk: reverse(page, args=[pk]) for pk in there}
    except NoReverseMatch:
        return {}
