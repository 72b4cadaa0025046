"""The schedule admin's own pages: add, edit, pause, resume, run now, remove. Each checks its permission, then calls
one verb."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from queue_core import services
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.admin.schedule_form import ScheduleForm, initial_of
from queue_core.errors import QueueError
from queue_core.models import Schedule, ScheduleFire
from queue_core.states import FireOutcome

Verb = Callable[..., services.BulkOutcome]


def add(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Asks on GET, makes the schedule on POST; errors are shown at their field."""
    demand(model_admin.has_add_permission(request))
    form = ScheduleForm(request.POST or None)
    if form.is_valid():
        try:
            schedule = services.save_schedule(**form.values(), by=actor(request))
        except services.InvalidSchedule as exc:
            form.refuse(exc)
        else:
            messages.success(request, f"Created {schedule}: {schedule.description}.")
            return _back_to(schedule.pk)
    back = reverse("admin:queue_core_schedule_changelist")
    return _form_page(model_admin, request, form, title="Add a schedule", back=back)


def edit(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    schedule: Schedule = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    form = ScheduleForm(request.POST or None, initial=initial_of(schedule))
    if form.is_valid():
        try:
            schedule = services.save_schedule(schedule=schedule, **form.values(), by=actor(request))
        except services.InvalidSchedule as exc:
            form.refuse(exc)
        else:
            messages.success(request, f"Changed {schedule}: {schedule.description}.")
            return _back_to(pk)
    return _form_page(
        model_admin, request, form, title=f"Change {schedule}", original=schedule, back=_page_of(schedule.pk)
    )


def _form_page(model_admin: ModelAdmin, request: HttpRequest, form: ScheduleForm, **context: Any) -> HttpResponse:
    return page(model_admin, request, "queue_core/admin/form.html", form=form, button="Save", **context)


def move(model_admin: ModelAdmin, request: HttpRequest, pk: int, verb: Verb, done: str) -> HttpResponse:
    """Pause or resume, on POST."""
    schedule: Schedule = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        outcome = verb([pk], by=actor(request))
    except QueueError as exc:
        messages.error(request, str(exc))
        return _back_to(pk)
    if outcome.changed:
        messages.success(request, f"{done}: {schedule}.")
    else:
        messages.warning(request, f"{schedule} was {outcome.reason}: nothing changed.")
    return _back_to(pk)


def run_now(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, runs on POST."""
    schedule: Schedule = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    if request.method != "POST":
        question = f"Run {schedule} once now, beside its rhythm?"
        return _confirm(
            model_admin, request, schedule, title=f"Run {schedule} now", question=question, button="Run now"
        )
    try:
        fire = services.run_schedule_now(schedule, by=actor(request))
    except QueueError as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, _said(fire))
    return _back_to(pk)


def _said(fire: ScheduleFire) -> str:
    if fire.outcome == FireOutcome.WAITING:
        return "It runs as soon as its last task is over."
    return f"Submitted task {fire.task_id}."


def remove(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, deletes on POST."""
    schedule: Schedule = find(model_admin, request, pk)
    demand(model_admin.has_remove_permission(request))
    if request.method != "POST":
        question = f"Delete {schedule} with its history? The tasks it submitted stay."
        return _confirm(model_admin, request, schedule, title=f"Delete {schedule}", question=question, button="Delete")
    services.delete_schedule([pk], by=actor(request))
    messages.success(request, f"Deleted {schedule}.")
    return HttpResponseRedirect(reverse("admin:queue_core_schedule_changelist"))


def _confirm(model_admin: ModelAdmin, request: HttpRequest, schedule: Schedule, **context: Any) -> HttpResponse:
    back = _page_of(schedule.pk)
    return page(model_admin, request, "queue_core/admin/confirm.html", original=schedule, back=back, **context)


def _page_of(pk: int) -> str:
    return reverse("admin:queue_core_schedule_change", args=[pk])


def _back_to(pk: int) -> HttpResponse:
    return HttpResponseRedirect(_page_of(pk))


def buttons(model_admin: ModelAdmin, request: HttpRequest, schedule: Schedule) -> list[dict[str, Any]]:
    """The verbs this person may ask for."""
    offered: list[dict[str, Any]] = []

    def offer(verb: str, title: str, icon: str, *, post: bool = False) -> None:
        url = reverse(f"admin:queue_core_schedule_{verb}", args=[schedule.pk])
        offered.append({"title": title, "icon": icon, "url": url, "post": post})

    if model_admin.has_operate_permission(request):
        offer("run_now", "Run now", "play_arrow")
        if schedule.paused:
            offer("resume", "Resume", "play_circle", post=True)
        else:
            offer("pause", "Pause", "pause_circle", post=True)
        offer("edit", "Change", "edit")
    if model_admin.has_remove_permission(request):
        offer("remove", "Delete", "delete")
    return offered
