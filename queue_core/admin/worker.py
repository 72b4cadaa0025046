from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.decorators import display as label

from queue_core import services
from queue_core.admin import worker_pages as pages
from queue_core.admin.filters import tabs
from queue_core.admin.ledger import LedgerAdmin
from queue_core.admin.times import ago, moment
from queue_core.admin.worker_rows import WORKER_LABELS, memory, pool_of, processor, state_of, steered, task_page
from queue_core.models import Task, Worker
from queue_core.states import TaskState

ENDED = ("lost", "stopped")
_SHOWN_TASKS = 50


class WorkerStateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in ENDED]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(shown_state=self.value()) if self.value() in ENDED else queryset


@admin.register(Worker)
class WorkerAdmin(LedgerAdmin):
    list_display = ["name", "state_label", "queue_names", "finished_tasks", "memory", "heartbeat"]
    list_filter = [WorkerStateFilter]
    lookups = ("state",)
    actions = None
    detail_template = "queue_core/admin/worker.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return services.workers()

    def get_urls(self) -> list[URLPattern]:
        site_view = self.admin_site.admin_view
        own = [
            path("steer/", site_view(partial(pages.steer, self)), name="queue_core_worker_steer"),
            path("pools/<int:pk>/scale/", site_view(partial(pages.scale, self)), name="queue_core_worker_scale"),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        chosen = request.GET.get("state", "")
        at_work, *others = tabs("queue_core.worker", request.path, chosen, ("lost", "stopped"))[0]["items"]
        shown = [{"models": ["queue_core.worker"], "items": [{**at_work, "title": "At work"}, *others]}]
        if chosen not in ENDED:
            return pages.fleet(self, request, shown)
        above = {"tab_list": shown, "title": "Workers that have ended"}
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **above})
        return answer

    def detail(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        tasks = Task.objects.filter(worker=obj.pk, state=TaskState.RUNNING).defer("payload").order_by("started_at")
        state = state_of(obj)
        return {
            "title": obj.name,
            "label": {"text": state, "type": WORKER_LABELS[state]},
            "is_live": obj.shown_state == "alive",
            "verbs": pages.buttons(request, obj),
            "facts": [
                ("Kind", obj.kind),
                ("Host", obj.hostname),
                ("Process", obj.pid or "–"),  # noqa: RUF001 - a dash it is
                ("Pool", pool_of(obj)),
                ("Queues", ", ".join(obj.queues)),
                ("Version", obj.version or "–"),  # noqa: RUF001
                ("Started", moment(obj.started_at)),
                ("Last beat", ago(obj.silence)),
                ("Asked", steered(obj)),
                ("Succeeded", obj.succeeded_tasks),
                ("Failed attempts", obj.failed_tasks),
                ("Memory", memory(obj)),
                ("CPU", processor(obj)),
            ],
            "tasks": [
                {"task": task, "url": task_page(task.pk), "started": moment(task.started_at)}
                for task in tasks[:_SHOWN_TASKS]
            ],
        }

    @label(description="State", label=WORKER_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, worker: Any) -> str:
        return state_of(worker)

    @admin.display(description="Queues")
    def queue_names(self, worker: Worker) -> str:
        return ", ".join(worker.queues)

    @admin.display(description="Memory")
    def memory(self, worker: Worker) -> str:
        return memory(worker)

    @admin.display(description="Last beat")
    def heartbeat(self, worker: Any) -> str:
        return ago(worker.silence)
