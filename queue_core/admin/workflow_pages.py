"""The workflow admin's own pages, cancel and retry, and what a workflow's page shows of its steps."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from queue_core import services
from queue_core.admin.drawing import Drawing, draw
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.admin.task_rows import rows_of
from queue_core.errors import QueueError
from queue_core.models import Task, Workflow
from queue_core.states import TaskState, WorkflowState
from queue_core.texts import grouped

WORKFLOW_LABELS = {"running": "primary", "succeeded": "success", "failed": "danger", "cancelled": "default"}
# What can be followed by the eye; the table below shows everything.
DRAWN_STEPS = 200
_DRAWN_ARROWS = 1_000
_PER_PAGE = 100
_SHOWN_CALLBACKS = 20


def cancel(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, cancels on POST; running steps are asked to end."""
    workflow: Workflow = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    if request.method == "POST":
        outcome = services.cancel_workflow([pk], by=actor(request))
        if outcome.changed:
            messages.success(request, f"Cancelled: {workflow}.")
        else:
            messages.warning(request, f"{workflow} was {outcome.reason}: nothing changed.")
        return _back_to(pk)
    left = workflow.total - workflow.done
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"Cancel {workflow}",
        original=workflow,
        question=f"Cancel {workflow}? The {grouped(left)} of its {grouped(workflow.total)} steps that are not over "
        "will not run; those that run now are asked to end.",
        button="Cancel this workflow",
        back=_page_of(pk),
    )


def retry(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    workflow: Workflow = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        outcome = services.retry_workflow(workflow, by=actor(request))
    except QueueError as exc:
        messages.warning(request, str(exc))
    else:
        messages.success(request, outcome.sentence("Retried", "step"))
    return _back_to(pk)


def _page_of(pk: int) -> str:
    return reverse("admin:queue_core_workflow_change", args=[pk])


def _back_to(pk: int) -> HttpResponse:
    return HttpResponseRedirect(_page_of(pk))


def buttons(model_admin: ModelAdmin, request: HttpRequest, workflow: Workflow) -> list[dict[str, Any]]:
    """The verbs this person may ask for. A running workflow may have failed steps, so it may be retried as well."""
    if workflow.state == WorkflowState.SUCCEEDED or not model_admin.has_operate_permission(request):
        return []
    is_asked = workflow.cancel_requested_at is not None
    runs = workflow.state == WorkflowState.RUNNING
    offered = [
        ("retry", "Retry", "replay", True, not (runs and is_asked)),
        ("cancel", "Cancel", "block", False, runs and not is_asked),
    ]
    return [
        {
            "title": title,
            "icon": icon,
            "url": reverse(f"admin:queue_core_workflow_{verb}", args=[workflow.pk]),
            "post": post,
        }
        for verb, title, icon, post, is_offered in offered
        if is_offered
    ]


def callbacks(workflow: Workflow) -> dict[str, Any]:
    """What is submitted when it ends, and the newest tasks that were."""
    submitted = Task.objects.filter(workflow=workflow, step__isnull=True, replay_of__isnull=True)
    shown = submitted.defer("payload", "context").order_by("-pk")[:_SHOWN_CALLBACKS] if workflow.callbacks else []
    return {
        "callbacks": [(event, row["name"]) for event, row in sorted(workflow.callbacks.items())],
        "callback_tasks": rows_of(list(shown)),
    }


def steps(request: HttpRequest, workflow: Workflow, counts: Mapping[str, int]) -> dict[str, Any]:
    """The drawing of a small workflow, and a page of the table of steps."""
    wanted = request.GET.get("state", "")
    chosen = wanted if wanted in TaskState.values else ""
    total = counts.get(chosen, 0) if chosen else sum(counts.values())
    shown = _page(workflow, chosen, total, request.GET.get("p", "1"))
    return {
        "drawing": _drawing(workflow, sum(counts.values())),
        "drawn_steps": DRAWN_STEPS,
        "is_large": sum(counts.values()) > DRAWN_STEPS,
        "states": [(state.value, counts[state]) for state in TaskState if counts.get(state)],
        "chosen": chosen,
        "rows": rows_of(list(shown.object_list)),
        "rows_page": shown,
    }


def _drawing(workflow: Workflow, count: int) -> Drawing | None:
    """None when there is nothing to see: too many steps, or none that waits for another."""
    if count > DRAWN_STEPS:
        return None
    nodes, arrows = services.workflow_graph(workflow)
    return draw(nodes, arrows) if 0 < len(arrows) <= _DRAWN_ARROWS else None


class _Counted(Paginator):  # type: ignore[type-arg]  # generic in the stubs only
    """Its number of rows is known already."""

    count = 0


def _page(workflow: Workflow, state: str, total: int, number: str) -> "Page[Task]":
    found = Task.objects.filter(workflow=workflow, step__isnull=False).defer("payload", "context").order_by("pk")
    pages = _Counted(found.filter(state=state) if state else found, _PER_PAGE)
    pages.count = total
    return pages.get_page(number)
