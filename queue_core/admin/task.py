from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from unfold.decorators import display as label

from queue_core import conf, registry, search, services
from queue_core.admin import notes, relatives, task_edit, task_pages
from queue_core.admin.bulk_actions import BulkActions, PriorityForm, QueueForm
from queue_core.admin.filters import TAB_STATES, DayRange, NameFilter, QueueFilter, StateFilter, days, one_of, tabs
from queue_core.admin.forms import as_text
from queue_core.admin.ledger import actor
from queue_core.admin.task_rows import STATE_LABELS
from queue_core.admin.times import moment, span
from queue_core.models import Execution, Result, Task, Worker
from queue_core.querysets import SHOWN_STATES
from queue_core.services.clock import database_time
from queue_core.texts import grouped

OUTCOME_LABELS = {"succeeded": "success", "failed": "danger", "lost": "warning", "cancelled": "default"}
_SHOWN_ATTEMPTS = 100
_PARTLY = (
    "Searched the newest {} tasks, from id {} on. To search them all, say state:failed, a tag, a key or part of the"
    " error as well."
)


@admin.register(Task)
class TaskAdmin(BulkActions):
    list_display = ["number", "name", "queue", "priority", "state_label", "attempts", "short_error", "created", "took"]
    list_display_links = ["number", "name"]
    list_filter = [StateFilter, QueueFilter, NameFilter, ("created_at", DayRange)]
    list_filter_submit = True
    lookups = ("state", "queue", "name", "created_at_from", "created_at_to")
    search_fields = ["name"]
    search_help_text = (
        "Id, beginning of a name, key or a word of the error; or state:failed name:campaigns.* queue:mail tag:x"
        ' error:"timed out" age:>1h payload.customer.id:7 worker:w1 -tag:y'
    )
    actions = ["retry_selected", "cancel_selected"]
    bulk_terms: ClassVar = {
        "state": one_of("state", lambda: SHOWN_STATES),
        "queue": one_of("queue", conf.queues),
        "name": one_of("name", registry.names),
        **{f"created_at_{end}": term for end, term in days("created").items()},
    }
    params: ClassVar = {"set_priority": PriorityForm, "move": QueueForm}
    detail_template = "queue_core/admin/task.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        """With `took`: what the last attempt ran, for those that are over."""
        last = Execution.objects.filter(task=OuterRef("pk"), attempt=OuterRef("attempt"))
        took = last.filter(task__finished_at__isnull=False).values(took=F("finished_at") - F("started_at"))
        return Task.objects.for_list().annotate(took=Subquery(took))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        chosen = request.GET.get("state", "")
        above = {"tab_list": tabs("queue_core.task", request.path, chosen, TAB_STATES), "title": "Tasks"}
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **above})
        return answer

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Task], search_term: str
    ) -> tuple[QuerySet[Task], bool]:
        try:
            found = search.narrowed(queryset, search.parse(search_term), now=database_time())
        except search.SearchError as exc:
            messages.error(request, f"{exc}.")
            return queryset.none(), False
        if found.searched_from:
            messages.info(request, _PARTLY.format(grouped(search.NEWEST), found.searched_from))
        return found.tasks, False

    def get_urls(self) -> list[URLPattern]:
        site_view = self.admin_site.admin_view
        own = [
            path("<int:pk>/retry/", site_view(partial(task_pages.retry, self)), name="queue_core_task_retry"),
            path("<int:pk>/cancel/", site_view(partial(task_pages.cancel, self)), name="queue_core_task_cancel"),
            path("<int:pk>/edit/", site_view(partial(task_edit.edit, self)), name="queue_core_task_edit"),
            path("<int:pk>/replay/", site_view(partial(task_edit.replay, self)), name="queue_core_task_replay"),
            path("<int:pk>/forget/", site_view(partial(task_edit.delete, self)), name="queue_core_task_forget"),
            path(
                "<int:pk>/pin/",
                site_view(partial(task_edit.keep, self, verb=services.pin, done="Pinned")),
                name="queue_core_task_pin",
            ),
            path(
                "<int:pk>/unpin/",
                site_view(partial(task_edit.keep, self, verb=services.unpin, done="Unpinned")),
                name="queue_core_task_unpin",
            ),
            path("export/", site_view(partial(task_edit.export, self)), name="queue_core_task_export"),
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("queue_core.add_task")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Retry and cancel: for those who may change tasks, although nobody edits their rows."""
        return request.user.has_perm("queue_core.change_task")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return task_pages.submit(self, request)

    def detail(self, request: HttpRequest, obj: Task) -> dict[str, Any]:
        result = Result.objects.filter(pk=obj.pk).first()
        attempts = Execution.objects.filter(task=obj.pk).select_related("worker").order_by("-attempt")
        return {
            "title": str(obj),
            "label": {"text": obj.shown_state, "type": STATE_LABELS[obj.shown_state]},
            "buttons": task_pages.buttons(self, request, obj),
            "facts": facts(obj),
            **relatives.of(obj),
            "progress": notes.progress(obj),
            "logs": notes.logs(obj),
            "error": obj.error,
            "payload": as_text(obj.payload),
            "result": as_text(result.value) if result else "",
            "attempts": [
                {
                    "row": attempt,
                    "type": OUTCOME_LABELS[attempt.outcome],
                    "worker": worker_link(attempt.worker_id, attempt.worker),
                    "started": moment(attempt.started_at),
                    "took": span(attempt.finished_at - attempt.started_at),
                }
                for attempt in attempts[:_SHOWN_ATTEMPTS]
            ],
        }

    @admin.action(description="Retry", permissions=["operate"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        self._report(request, "Retried", services.retry(_ids(queryset), by=actor(request)))

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        self._report(request, "Cancelled", services.cancel(_ids(queryset), by=actor(request)))

    def bulk_note(self, row: Task) -> str:
        return f"{row.shown_state}, in {row.queue}"

    def _report(self, request: HttpRequest, verb: str, outcome: services.BulkOutcome) -> None:
        sentence = outcome.sentence(verb)
        has_moved = bool(outcome.changed or outcome.asked)
        messages.add_message(request, messages.SUCCESS if has_moved else messages.WARNING, sentence)

    @admin.display(description="Id")
    def number(self, task: Task) -> int:
        return task.pk

    @label(description="State", label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, task: Task) -> str:
        return task.shown_state

    @admin.display(description="Attempt")
    def attempts(self, task: Task) -> str:
        return f"{task.attempt}/{task.max_attempts}"

    @admin.display(description="Error")
    def short_error(self, task: Task) -> str:
        return format_html('<span title="{}">{}</span>', task.error[:500], Truncator(task.error).chars(60))

    @admin.display(description="Created")
    def created(self, task: Task) -> str:
        return moment(task.created_at)

    @admin.display(description="Duration")
    def took(self, task: Any) -> str:
        return span(task.took)


def facts(task: Task) -> list[tuple[str, Any]]:
    """(label, value) of what a task is; values are ready to be shown."""
    rows: list[tuple[str, Any]] = [
        ("Task", task.name),
        ("Queue", task.queue),
        ("Workflow", relatives.workflow_link(task)),
        ("Priority", task.priority),
        ("Attempts", f"{task.attempt} of {task.max_attempts}"),
        ("Lost workers", f"{task.crashes} of {task.max_crashes}"),
        ("Tags", ", ".join(task.tags) or "–"),  # noqa: RUF001
        ("Kept", "pinned" if task.pinned else "as the settings say"),
        ("Submitted by", notes.asked(task)),
        ("Unique key", task.unique_key or "–"),  # noqa: RUF001
        ("Worker", worker_link(task.worker_id, task.worker)),
        ("Created", moment(task.created_at)),
        ("Due", moment(task.run_at)),
        ("Started", moment(task.started_at)),
        ("Asked to end", moment(task.cancel_requested_at)),
        ("Finished", moment(task.finished_at)),
        ("Duration", span(services.durations([task]).get(task.pk))),
        *relatives.lineage(task),
        *notes.trace(task),
    ]
    return rows


def worker_link(pk: int | None, worker: Worker | None) -> str:
    """A link to a worker; only its number when its row was pruned."""
    if pk is None:
        return "–"  # noqa: RUF001
    if worker is None:
        return f"worker {pk}"
    url = reverse("admin:queue_core_worker_change", args=[pk])
    return format_html('<a class="ph-link" href="{}">{}</a>', url, worker.name)


def _ids(queryset: QuerySet[Task]) -> list[int]:
    # No more than a page can be ticked; a forged request cannot ask for a whole table.
    return list(queryset.values_list("pk", flat=True)[:1000])
