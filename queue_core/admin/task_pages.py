"""The task admin's own pages: submit, retry, cancel. Each checks its permission, then calls one verb."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from unfold.admin import ModelAdmin

from queue_core import registry, services
from queue_core.admin.forms import ChooseForm, SubmitForm
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.admin.payload_fields import fields_for
from queue_core.errors import QueueError
from queue_core.models import Task
from queue_core.states import FINAL, TRANSITIONS, TaskState

_FORM = "queue_core/admin/form.html"


def submit(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Asks for the task, then for its arguments; submits it on POST. Errors are shown at their field."""
    demand(model_admin.has_add_permission(request))
    chosen = registry.find(request.POST.get("name") or request.GET.get("name", ""))
    if request.method != "POST" and chosen is None:
        return _choose(model_admin, request)
    is_raw = "raw" in request.GET or "payload" in request.POST
    by_field = chosen if chosen and not is_raw and fields_for(chosen) else None
    form = SubmitForm(request.POST or None, by_field=by_field, initial={"name": chosen.name if chosen else ""})
    if form.is_valid():
        name = form.cleaned_data["name"]
        try:
            made = services.submit(name, form.payload_given(), by=actor(request), **form.options())
        except QueueError as exc:
            form.refuse(exc)
        else:
            return _submitted(request, name, made)
    title = f"Submit {chosen.name}" if by_field and chosen else "Submit a task"
    return page(model_admin, request, _FORM, title=title, form=form, button="Submit", **_ways(by_field))


def _choose(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    form = ChooseForm(initial=request.GET.dict())
    back = reverse("admin:queue_core_task_changelist")
    return page(
        model_admin, request, _FORM, title="Submit a task", form=form, button="Continue", method="get", back=back
    )


def _ways(by_field: registry.TaskType | None) -> dict[str, Any]:
    """Where a person may go from a form that submits."""
    add = reverse("admin:queue_core_task_add")
    if by_field is None:
        return {"back": add}
    other = f"{add}?{urlencode({'name': by_field.name, 'raw': '1'})}"
    return {"back": add, "other_way": {"title": "Write JSON instead", "url": other}}


def _submitted(request: HttpRequest, name: str, made: services.Submitted) -> HttpResponse:
    if made.created:
        messages.success(request, f"Submitted {name} as task {made.id}.")
    else:
        messages.info(request, f"Nothing new: task {made.id} has this unique key and is not finished yet.")
    return _back_to(made.id)


def retry(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    task = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    return _moved(request, task, "Retried", services.retry([task.pk], by=actor(request)))


def cancel(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, cancels on POST; a running task is asked to end."""
    task = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    if request.method == "POST":
        return _moved(request, task, "Cancelled", services.cancel([task.pk], by=actor(request)))
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"Cancel {task}",
        original=task,
        question=f"Cancel {task}? It will not run, unless somebody retries it. If it runs now, it is asked to end.",
        button="Cancel this task",
        back=_page_of(task.pk),
    )


def _moved(request: HttpRequest, task: Task, done: str, outcome: services.BulkOutcome) -> HttpResponse:
    if outcome.changed or outcome.asked:
        done = done if outcome.changed else "Asked to end"
        messages.success(request, f"{done}: {task}.")
    else:
        messages.warning(request, f"{task} was {outcome.reason}: nothing changed.")
    return _back_to(task.pk)


def _page_of(pk: int) -> str:
    return reverse("admin:queue_core_task_change", args=[pk])


def _back_to(pk: int) -> HttpResponse:
    return HttpResponseRedirect(_page_of(pk))


def buttons(model_admin: ModelAdmin, request: HttpRequest, task: Task) -> list[dict[str, Any]]:
    """The verbs this person may ask for; the verb itself knows best whether the state still allows it."""
    is_over, waits = task.state in FINAL, task.state in TRANSITIONS["cancel"]
    runs = task.state == TaskState.RUNNING and task.cancel_requested_at is None
    offered = [
        ("retry", "Retry", "replay", True, task.state in TRANSITIONS["retry"]),
        ("replay", "Replay", "content_copy", False, is_over),
        ("edit", "Edit", "edit", False, waits),
        ("cancel", "Cancel", "block", False, waits or runs),
        ("unpin", "Unpin", "keep_off", True, task.pinned),
        ("pin", "Pin", "keep", True, not task.pinned),
    ]
    wanted = [one for one in offered if one[-1]] if model_admin.has_operate_permission(request) else []
    if is_over and request.user.has_perm("queue_core.delete_task"):
        wanted.append(("forget", "Delete", "delete", False, True))
    return [
        {"title": title, "icon": icon, "url": reverse(f"admin:queue_core_task_{verb}", args=[task.pk]), "post": post}
        for verb, title, icon, post, _ in wanted
    ]
