import datetime
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from queue_core import services
from queue_core.admin.holding import HoldAdmin
from queue_core.admin.ledger import actor, demand, page
from queue_core.admin.times import span
from queue_core.models import Queue
from queue_core.services import Backlog
from queue_core.services.outcome import plural


@admin.register(Queue)
class QueueAdmin(HoldAdmin):
    """Queues come from the settings; here they are watched, paused and limited."""

    template = "queue_core/admin/queues.html"
    noun = "queue"
    pause = staticmethod(services.pause_queue)
    resume = staticmethod(services.resume_queue)
    limit = staticmethod(services.limit_queue)

    def rows(self, buttons: Any) -> list[dict[str, Any]]:
        return [
            {"queue": queue, "oldest": _age(queue), "buttons": buttons(queue.name, bool(queue.paused_at))}
            for queue in services.backlog()
        ]

    def get_urls(self) -> list[URLPattern]:
        purge = path("<str:name>/purge/", self.admin_site.admin_view(self.purge), name=self.url_name("purge"))
        return [purge, *super().get_urls()]

    def buttons(self, request: HttpRequest, name: str, is_paused: bool) -> list[dict[str, Any]]:
        purge = {"title": "Purge", "icon": "delete_sweep", "url": self.url("purge", name)}
        return [*super().buttons(request, name, is_paused), *([purge] if _may_purge(request) else [])]

    def purge(self, request: HttpRequest, name: str) -> HttpResponse:
        """Asks on GET, cancels what waits on POST."""
        demand(self.has_view_permission(request) and _may_purge(request))
        queue, back = _find(name), self.url("changelist")
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

    def limits_of(self, name: str) -> dict[str, Any]:
        queue = _find(name)
        return {"max_running": queue.max_running, "rate": queue.rate}


def _may_purge(request: HttpRequest) -> bool:
    return request.user.has_perm("queue_core.change_task")


def _find(name: str) -> Backlog:
    for queue in services.backlog():
        if queue.name == name:
            return queue
    raise Http404(f"There is no queue {name}.")


def _age(queue: Backlog) -> str:
    return span(None if queue.oldest_age is None else datetime.timedelta(seconds=queue.oldest_age))
