from collections.abc import Mapping
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from unfold.decorators import display as label
from unfold.views import ChangeList

from queue_core import services
from queue_core.admin import workflow_pages as pages
from queue_core.admin.filters import tabs
from queue_core.admin.ledger import LedgerAdmin, LedgerList
from queue_core.admin.times import moment, span
from queue_core.models import Workflow
from queue_core.services.clock import database_time
from queue_core.states import WorkflowState
from queue_core.texts import grouped

# Steps by state are shown in lists for workflows up to this size; of larger ones, how many are over.
_COUNTED_STEPS = 500
_ID_MAX = 2**63 - 1
# state of a step -> its colour in a bar; what waits is left blank
_PARTS = {
    "succeeded": "ph-sent",
    "failed": "ph-refused",
    "cancelled": "ph-left-out",
    "expired": "ph-left-out",
    "running": "ph-working",
}


class WorkflowStateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.label) for state in WorkflowState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in WorkflowState.values else queryset


class WorkflowList(LedgerList):
    """Adds `counts` to the rows of a page, in one query for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counts = services.step_counts([one.pk for one in self.result_list if one.total <= _COUNTED_STEPS])
        for workflow in self.result_list:
            workflow.counts = counts.get(workflow.pk)


@admin.register(Workflow)
class WorkflowAdmin(LedgerAdmin):
    list_display = ["number", "name", "state_label", "progress", "created_by", "created", "took"]
    list_display_links = ["number", "name"]
    list_filter = [WorkflowStateFilter]
    list_select_related = ("created_by",)
    lookups = ("state",)
    search_fields = ["name"]
    search_help_text = "Id or beginning of a name"
    actions = None
    detail_template = "queue_core/admin/workflow.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WorkflowList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        chosen = request.GET.get("state", "")
        states = tuple(WorkflowState.values)
        above = {"tab_list": tabs("queue_core.workflow", request.path, chosen, states), "title": "Workflows"}
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **above})
        return answer

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Workflow], search_term: str
    ) -> tuple[QuerySet[Workflow], bool]:
        term = search_term.strip().replace("\x00", "")
        wanted = Q(name__startswith=term)
        if term.isdecimal() and len(term) < 20 and int(term) <= _ID_MAX:
            wanted |= Q(pk=int(term))
        return (queryset.filter(wanted) if term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        site_view = self.admin_site.admin_view
        own = [
            path(f"<int:pk>/{verb}/", site_view(partial(view, self)), name=f"queue_core_workflow_{verb}")
            for verb, view in (("cancel", pages.cancel), ("retry", pages.retry))
        ]
        return [*own, *super().get_urls()]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("queue_core.change_workflow")

    def detail(self, request: HttpRequest, obj: Workflow) -> dict[str, Any]:
        counts = services.state_counts(obj)
        return {
            "title": str(obj),
            "label": {"text": obj.state, "type": pages.WORKFLOW_LABELS[obj.state]},
            "is_live": obj.state == WorkflowState.RUNNING,
            "buttons": pages.buttons(self, request, obj),
            "facts": [
                ("Steps over", f"{grouped(obj.done)} of {grouped(obj.total)}"),
                ("Created by", obj.created_by or "–"),  # noqa: RUF001
                ("Created", moment(obj.created_at)),
                ("Asked to end", moment(obj.cancel_requested_at)),
                ("Finished", moment(obj.finished_at)),
                ("Duration", _took(obj)),
            ],
            "bar": bar(counts, obj.total),
            **pages.callbacks(obj),
            **pages.steps(request, obj, counts),
        }

    @admin.display(description="Id")
    def number(self, workflow: Workflow) -> int:
        return workflow.pk

    @label(description="State", label=pages.WORKFLOW_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, workflow: Workflow) -> str:
        return workflow.state

    @admin.display(description="Steps")
    def progress(self, workflow: Any) -> str:
        counts: dict[str, int] | None = workflow.counts
        if counts is None:
            over = f"{grouped(workflow.done)} of {grouped(workflow.total)} over"
            return format_html("{}<small>{}</small>", bar({"running": workflow.done}, workflow.total), over)
        said = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "pruned"
        return format_html("{}<small>{}</small>", bar(counts, workflow.total), said)

    @admin.display(description="Created")
    def created(self, workflow: Workflow) -> str:
        return moment(workflow.created_at)

    @admin.display(description="Duration")
    def took(self, workflow: Workflow) -> str:
        return span(workflow.finished_at - workflow.created_at if workflow.finished_at else None)


def _took(workflow: Workflow) -> str:
    return span((workflow.finished_at or database_time()) - workflow.created_at)


def bar(counts: Mapping[str, int], total: int) -> str:
    """One bar, its parts coloured by the states of steps; what waits is left blank."""
    parts = [(css, f"{100 * counts[state] / total:.1f}") for state, css in _PARTS.items() if counts.get(state)]
    pieces = format_html_join("", '<span class="{}" style="width: {}%"></span>', parts)
    return format_html('<span class="ph-bar">{}</span>', pieces)
