from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, Case, CharField, ExpressionWrapper, F, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display as label

from queue_core.admin.filters import tabs
from queue_core.admin.ledger import LedgerAdmin
from queue_core.admin.times import ago, moment
from queue_core.models import Task, Worker
from queue_core.states import TaskState, WorkerState

WORKER_LABELS = {"alive": "success", "lost": "danger", "stopped": "default"}
_SHOWN_TASKS = 50


class WorkerStateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in WORKER_LABELS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(shown_state=self.value()) if self.value() in WORKER_LABELS else queryset


@admin.register(Worker)
class WorkerAdmin(LedgerAdmin):
    list_display = ["name", "state_label", "queue_names", "running", "finished_tasks", "memory", "heartbeat"]
    list_filter = [WorkerStateFilter]
    lookups = ("state",)
    actions = None
    detail_template = "queue_core/admin/worker.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With `shown_state` and `silence` (timedelta since the last heartbeat), both by the database's clock."""
        beats = ExpressionWrapper(Q(state=WorkerState.ONLINE, lease_until__gt=Now()), output_field=BooleanField())
        shown_state = Case(
            When(beats, then=Value("alive")),
            When(state=WorkerState.STOPPED, then=Value("stopped")),
            default=Value("lost"),
            output_field=CharField(),
        )
        return Worker.objects.annotate(shown_state=shown_state, silence=Now() - F("heartbeat_at"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        chosen = request.GET.get("state", "")
        above = {"tab_list": tabs("queue_core.worker", request.path, chosen, tuple(WORKER_LABELS)), "title": "Workers"}
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **above})
        return answer

    def detail(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        tasks = Task.objects.filter(worker=obj.pk, state=TaskState.RUNNING).defer("payload").order_by("started_at")
        return {
            "title": obj.name,
            "label": {"text": obj.shown_state, "type": WORKER_LABELS[obj.shown_state]},
            "facts": [
                ("Host", obj.hostname),
                ("Process", obj.pid),
                ("Queues", ", ".join(obj.queues)),
                ("Started", moment(obj.started_at)),
                ("Last heartbeat", ago(obj.silence)),
                ("Finished tasks", obj.finished_tasks),
                ("Memory", self.memory(obj)),
            ],
            "tasks": [
                {"task": task, "url": _task_page(task.pk), "started": moment(task.started_at)}
                for task in tasks[:_SHOWN_TASKS]
            ],
        }

    @label(description="State", label=WORKER_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, worker: Any) -> str:
        return str(worker.shown_state)

    @admin.display(description="Queues")
    def queue_names(self, worker: Worker) -> str:
        return ", ".join(worker.queues)

    @admin.display(description="Running")
    def running(self, worker: Worker) -> str:
        if worker.current_task is None:
            return "–"  # noqa: RUF001
        link = '<a class="ph-link" href="{}">task {}</a>'
        return format_html(link, _task_page(worker.current_task), worker.current_task)

    @admin.display(description="Memory")
    def memory(self, worker: Worker) -> str:
        return f"{worker.memory_mib} MiB" if worker.memory_mib else "–"  # noqa: RUF001

    @admin.display(description="Heartbeat")
    def heartbeat(self, worker: Any) -> str:
        return ago(worker.silence)


def _task_page(pk: int) -> str:
    return reverse("admin:queue_core_task_change", args=[pk])
