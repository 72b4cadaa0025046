"""The task admin's pages that change what is there: edit, replay with another payload, delete, pin, export."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from unfold import widgets
from unfold.admin import ModelAdmin

from queue_core import conf, services
from queue_core.admin.forms import as_object, as_text, raw_payload
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.errors import QueueError
from queue_core.models import Task
from queue_core.services.delete_tasks import PINNED
from queue_core.services.submit import ATTEMPTS, PRIORITIES

_FORM = "queue_core/admin/form.html"


class PayloadForm(forms.Form):
    """A payload as JSON."""

    payload = raw_payload("The arguments of the task, as one object.")

    def clean_payload(self) -> dict[str, Any]:
        return as_object(self.cleaned_data["payload"])


class EditForm(PayloadForm):
    """What may be changed while a task waits."""

    queue = forms.ChoiceField(
        choices=lambda: [(name, name) for name in conf.queues()], widget=widgets.UnfoldAdminSelectWidget
    )
    priority = forms.IntegerField(
        min_value=PRIORITIES[0],
        max_value=PRIORITIES[-1],
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text=f"{PRIORITIES[0]} to {PRIORITIES[-1]}; a higher one is taken first.",
    )
    run_at = forms.DateTimeField(
        label="Not before",
        widget=forms.DateTimeInput(
            format="%Y-%m-%dT%H:%M:%S",
            attrs={"type": "datetime-local", "step": 1, "class": " ".join(widgets.INPUT_CLASSES)},
        ),
    )
    max_attempts = forms.IntegerField(
        min_value=ATTEMPTS[0], max_value=ATTEMPTS[-1], widget=widgets.UnfoldAdminIntegerFieldWidget
    )
    tags = forms.CharField(
        required=False, widget=widgets.UnfoldAdminTextInputWidget, help_text="Separated by commas, at most 32."
    )

    def changes(self, task: Task) -> dict[str, Any]:
        """What differs from the task."""
        given = {name: self.cleaned_data[name] for name in self.changed_data}
        if "tags" in given:
            given["tags"] = [tag.strip() for tag in given["tags"].split(",") if tag.strip()]
        return {name: value for name, value in given.items() if value != getattr(task, name)}


def edit(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, changes on POST; errors are shown at their field."""
    task: Task = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    fields = ("queue", "priority", "run_at", "max_attempts")
    initial = {name: getattr(task, name) for name in fields}
    initial |= {"payload": as_text(task.payload), "tags": ", ".join(task.tags)}
    form = EditForm(request.POST or None, initial=initial)
    if form.is_valid():
        changes = form.changes(task)
        try:
            outcome = services.edit_task([pk], by=actor(request), **changes)
        except QueueError as exc:
            form.add_error(getattr(exc, "field", None), str(exc))
        else:
            if outcome.changed or not changes:
                messages.success(request, f"Changed {', '.join(changes) or 'nothing'}: {task}.")
            else:
                messages.warning(request, f"{task} is not waiting any more: nothing changed.")
            return _back_to(pk)
    return _shown(model_admin, request, task, form, title=f"Edit {task}", button="Save")


def replay(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks for the payload on GET, makes a new task on POST."""
    task: Task = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    form = PayloadForm(request.POST or None, initial={"payload": as_text(task.payload)})
    if form.is_valid():
        payload = form.cleaned_data["payload"]
        try:
            made = services.replay([pk], payload=None if payload == task.payload else payload, by=actor(request))
        except QueueError as exc:
            form.add_error("payload", str(exc))
        else:
            if made:
                messages.success(request, f"Replayed {task} as task {made[pk]}.")
                return _back_to(made[pk])
            task.refresh_from_db()
            messages.warning(request, f"{task} is {services.why_left(task)}: nothing changed.")
            return _back_to(pk)
    return _shown(model_admin, request, task, form, title=f"Replay {task}", button="Replay")


def _shown(model_admin: ModelAdmin, request: HttpRequest, task: Task, form: forms.Form, **texts: Any) -> HttpResponse:
    return page(model_admin, request, _FORM, original=task, form=form, back=_page_of(task.pk), **texts)


def delete(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, deletes on POST."""
    task: Task = find(model_admin, request, pk)
    demand(request.user.has_perm("queue_core.delete_task"))
    if request.method != "POST":
        return page(
            model_admin,
            request,
            "queue_core/admin/confirm.html",
            title=f"Delete {task}",
            original=task,
            question=f"Delete {task} with its attempts, result and dead letters? This cannot be undone.",
            button="Delete this task",
            back=_page_of(pk),
        )
    outcome = services.delete_tasks([pk], by=actor(request))
    if not outcome.changed:
        why = PINNED if task.pinned else "not over: cancel it first"
        messages.warning(request, f"{task} is {why}. Nothing changed.")
        return _back_to(pk)
    messages.success(request, f"Deleted {task}.")
    return HttpResponseRedirect(reverse("admin:queue_core_task_changelist"))


def keep(model_admin: ModelAdmin, request: HttpRequest, pk: int, *, verb: Any, done: str) -> HttpResponse:
    """Pin or unpin, on POST."""
    task: Task = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    verb([pk], by=actor(request))
    messages.success(request, f"{done} {task}.")
    return _back_to(pk)


def export(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The list as it is filtered and searched now, as CSV."""
    demand(model_admin.has_view_permission(request))
    tasks = model_admin.get_changelist_instance(request).get_queryset(request)
    response = StreamingHttpResponse(services.export_tasks(tasks), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="tasks.csv"'
    return response


def _page_of(pk: int) -> str:
    return reverse("admin:queue_core_task_change", args=[pk])


def _back_to(pk: int) -> HttpResponse:
    return HttpResponseRedirect(_page_of(pk))
