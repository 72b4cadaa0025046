import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold import widgets
from unfold.admin import ModelAdmin

from queue_core import services
from queue_core.admin.ledger import actor, demand, page
from queue_core.admin.times import span
from queue_core.errors import InvalidSubmission
from queue_core.models import Queue
from queue_core.services import Backlog
from queue_core.services.outcome import plural


class LimitsForm(forms.Form):
    """What a queue may do at once and in a time; blank lifts a limit."""

    max_running = forms.IntegerField(
        label="Running at once",
        required=False,
        min_value=1,
        max_value=1_000_000,
        widget=widgets.UnfoldAdminIntegerFieldWidget,
        help_text="Over all workers. Blank: no limit.",
    )
    rate = forms.CharField(
        label="Starts in a time",
        required=False,
        max_length=32,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text="100/m, 5/10s, 2000/h or 1/d, over all workers. Blank: no limit.",
    )


@admin.register(Queue)
class QueueAdmin(ModelAdmin):  # type: ignore[misc]
    """Queues come from the settings; here they are watched, paused and limited."""

    def get_urls(self) -> list[URLPattern]:
        site_view = self.admin_site.admin_view
        return [
            path("", site_view(self.overview), name="queue_core_queue_changelist"),
            path("<str:name>/purge/", site_view(self.purge), name="queue_core_queue_purge"),
            path("<str:name>/limits/", site_view(self.limits), name="queue_core_queue_limits"),
            path(
                "<str:name>/pause/",
                site_view(partial(self.hold, verb=services.pause_queue, done="Paused")),
                name="queue_core_queue_pause",
            ),
            path(
                "<str:name>/resume/",
                site_view(partial(self.hold, verb=services.resume_queue, done="Resumed")),
                name="queue_core_queue_resume",
            ),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Queue | None = None) -> bool:
        return False

    def overview(self, request: HttpRequest) -> HttpResponse:
        demand(self.has_view_permission(request))
        may_hold = self.has_change_permission(request)

        def purge(queue: Backlog) -> list[dict[str, Any]]:
            url = reverse("admin:queue_core_queue_purge", args=[queue.name])
            return [{"title": "Purge", "icon": "delete_sweep", "url": url}] if _may_purge(request) else []

        rows = [
            {"queue": queue, "oldest": _age(queue), "buttons": [*(_buttons(queue) if may_hold else []), *purge(queue)]}
            for queue in services.backlog()
        ]
        return page(self, request, "queue_core/admin/queues.html", title="Queues", rows=rows)

    def hold(self, request: HttpRequest, name: str, *, verb: Any, done: str) -> HttpResponse:
        demand(self.has_change_permission(request))
        _find(name)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        verb(name, by=actor(request))
        messages.success(request, f"{done} the queue {name}.")
        return HttpResponseRedirect(reverse("admin:queue_core_queue_changelist"))

    def purge(self, request: HttpRequest, name: str) -> HttpResponse:
        """Asks on GET, cancels what waits on POST."""
        demand(self.has_view_permission(request) and _may_purge(request))
        queue = _find(name)
        back = reverse("admin:queue_core_queue_changelist")
        if request.method == "POST":
            outcome = services.purge_queue(name, by=actor(request))
            more = " More wait: purge it again." if outcome.skipped else ""
            messages.success(request, f"Cancelled {plural(outcome.changed, 'task')} of the queue {name}.{more}")
            return HttpResponseRedirect(back)
        due = f"{queue.depth}{'+' if queue.more else ''} due"
        question = f"Cancel everything that waits in {name} ({due}), also what is scheduled? What runs goes on."
        return page(
            self,
            request,
            "queue_core/admin/confirm.html",
            title=f"Purge the queue {name}",
            question=question,
            button="Cancel all that waits",
            back=back,
        )

    def limits(self, request: HttpRequest, name: str) -> HttpResponse:
        demand(self.has_change_permission(request))
        queue = _find(name)
        form = LimitsForm(request.POST or None, initial={"max_running": queue.max_running, "rate": queue.rate})
        if form.is_valid():
            try:
                services.limit_queue(
                    name,
                    max_running=form.cleaned_data["max_running"],
                    rate=form.cleaned_data["rate"] or None,
                    by=actor(request),
                )
            except InvalidSubmission as exc:
                form.add_error(exc.field, str(exc))
            else:
                messages.success(request, f"The limits of the queue {name} hold from now on.")
                return HttpResponseRedirect(reverse("admin:queue_core_queue_changelist"))
        return page(
            self,
            request,
            "queue_core/admin/form.html",
            title=f"Limits of the queue {name}",
            form=form,
            button="Save",
            back=reverse("admin:queue_core_queue_changelist"),
        )


def _may_purge(request: HttpRequest) -> bool:
    return request.user.has_perm("queue_core.change_task")


def _find(name: str) -> Backlog:
    for queue in services.backlog():
        if queue.name == name:
            return queue
    raise Http404(f"There is no queue {name}.")


def _age(queue: Backlog) -> str:
    return span(None if queue.oldest_age is None else datetime.timedelta(seconds=queue.oldest_age))


def _buttons(queue: Backlog) -> list[dict[str, Any]]:
    verb, icon = ("resume", "play_arrow") if queue.paused_at else ("pause", "pause")
    return [
        {
            "title": verb.capitalize(),
            "icon": icon,
            "url": reverse(f"admin:queue_core_queue_{verb}", args=[queue.name]),
            "post": True,
        },
        {"title": "Limits", "icon": "speed", "url": reverse("admin:queue_core_queue_limits", args=[queue.name])},
    ]
