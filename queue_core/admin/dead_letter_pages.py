"""The dead letter admin's own pages: replay and discard, of one and of those ticked."""

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from queue_core import services
from queue_core.admin.forms import as_object, as_text, raw_payload
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.errors import InvalidSubmission, QueueError
from queue_core.models import DeadLetter, Task
from queue_core.services import Actor, BulkOutcome
from queue_core.services.outcome import plural

_NOUN = "dead letter"


class ReplayForm(forms.Form):
    """The payload of the new task."""

    payload = raw_payload("The arguments of the new task. The old one keeps its own.")

    def clean_payload(self) -> dict[str, Any]:
        return as_object(self.cleaned_data["payload"])


def form_for(model_admin: ModelAdmin, request: HttpRequest, letter: DeadLetter, task: Task | None) -> ReplayForm | None:
    """A form that holds the task's payload, where this person may replay the letter."""
    if task is None or letter.resolution or not model_admin.has_operate_permission(request):
        return None
    return ReplayForm(initial={"payload": as_text(task.payload)})


def replay(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks for the payload on GET, replays on POST; what is wrong with it is shown at its field."""
    letter: DeadLetter = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    task = Task.objects.filter(pk=letter.task_id).first()
    if task is None or letter.resolution:
        return _unmoved(request, letter)
    form = ReplayForm(request.POST or None, initial={"payload": as_text(task.payload)})
    if form.is_valid():
        payload = None if form.cleaned_data["payload"] == task.payload else form.cleaned_data["payload"]
        try:
            if payload is not None and not request.user.has_perm("queue_core.add_task"):
                raise InvalidSubmission("payload", "with another one it is another task, which you may not submit")
            made = services.replay_letters([pk], payload=payload, by=actor(request))
        except QueueError as exc:
            form.add_error("payload", str(exc))
        else:
            if not made:
                return _unmoved(request, letter)
            messages.success(request, f"Replayed {task} as task {made[task.pk]}.")
            return _back_to(pk)
    return page(
        model_admin,
        request,
        "queue_core/admin/form.html",
        title=f"Replay {task}",
        original=letter,
        form=form,
        button="Replay",
        back=_page_of(pk),
    )


def discard(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, discards on POST."""
    letter: DeadLetter = find(model_admin, request, pk)
    demand(model_admin.has_operate_permission(request))
    if request.method != "POST":
        return page(
            model_admin,
            request,
            "queue_core/admin/confirm.html",
            title=f"Discard the dead letter of {letter}",
            original=letter,
            question=f"Close the dead letter of {letter} without running it again? The task stays failed.",
            button="Discard",
            back=_page_of(pk),
        )
    if not services.discard([pk], by=actor(request)).changed:
        return _unmoved(request, letter)
    messages.success(request, f"Discarded the dead letter of {letter}.")
    return _back_to(pk)


def _unmoved(request: HttpRequest, letter: DeadLetter) -> HttpResponse:
    letter.refresh_from_db()
    why = services.why_left_letter(letter)
    messages.warning(request, f"The dead letter of {letter} {why}. Nothing was changed.")
    return _back_to(letter.pk)


def replay_all(ids: Sequence[int], *, by: Actor) -> BulkOutcome:
    made = len(services.replay_letters(ids, by=by))
    return BulkOutcome(
        made,
        len(ids) - made,
        f"resolved already, or without a task, or {services.KEY_IS_TAKEN}, or {services.IS_INTERNAL}",
    )


def bulk(
    model_admin: ModelAdmin,
    request: HttpRequest,
    letters: QuerySet[DeadLetter],
    *,
    verb: Callable[..., BulkOutcome],
    title: str,
    done: str,
) -> HttpResponse | None:
    """The action on the letters that are ticked: a page that asks, then the verb and what it did.

    None sends the person back to the list.
    """
    # No more than a page can be ticked.
    found = list(letters.values_list("pk", "resolution")[:1000])
    ids = [pk for pk, _ in found]
    if "confirmed" in request.POST:
        outcome = verb(ids, by=actor(request))
        level = messages.SUCCESS if outcome.changed else messages.WARNING
        messages.add_message(request, level, outcome.sentence(done, _NOUN))
        return None
    count = sum(not resolution for _, resolution in found)
    if not count:
        messages.warning(request, "Those dead letters are all resolved already: nothing changed.")
        return None
    left = f" {len(ids) - count} resolved already stay as they are." if count < len(ids) else ""
    after = "Each becomes a new task." if title == "Replay" else "Their tasks stay failed."
    ticked = [(ACTION_CHECKBOX_NAME, pk) for pk in ids]
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"{title} {plural(count, _NOUN)}",
        question=f"{title} {plural(count, _NOUN)}? {after}{left}",
        hidden=[("action", request.POST["action"]), ("confirmed", 1), *ticked],
        button=f"{title} {count}",
        variant="primary" if title == "Replay" else "danger",
        back=request.get_full_path(),
    )


def buttons(model_admin: ModelAdmin, request: HttpRequest, letter: DeadLetter) -> list[dict[str, Any]]:
    """The verbs this person may ask for; replay has a form of its own on the page."""
    if letter.resolution or not model_admin.has_operate_permission(request):
        return []
    url = reverse("admin:queue_core_deadletter_discard", args=[letter.pk])
    return [{"title": "Discard", "icon": "delete", "url": url}]


def _page_of(pk: int) -> str:
    return reverse("admin:queue_core_deadletter_change", args=[pk])


def _back_to(pk: int) -> HttpResponse:
    return HttpResponseRedirect(_page_of(pk))
