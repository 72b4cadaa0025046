import json
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from unfold.decorators import display as label

from queue_core import services
from queue_core.admin import schedule_pages as pages
from queue_core.admin.ledger import LedgerAdmin, actor
from queue_core.admin.times import moment
from queue_core.errors import QueueError
from queue_core.models import Schedule, ScheduleFire

SCHEDULE_LABELS = {"active": "success", "paused": "warning"}
FIRE_LABELS = {
    "submitted": "success",
    "waiting": "info",
    "skipped_overlap": "default",
    "missed": "warning",
    "failed": "danger",
}
_UPCOMING = 10
_SHOWN_FIRES = 50


@admin.register(Schedule)
class ScheduleAdmin(LedgerAdmin):
    list_display = ["name", "task", "rhythm", "state_label", "next_run", "last_run"]
    list_filter = ["paused", "kind"]
    lookups = ("paused__exact", "kind__exact")
    search_fields = ["name", "task"]
    search_help_text = "Name or task"
    actions = ["pause_selected", "resume_selected"]
    detail_template = "queue_core/admin/schedule.html"

    def get_urls(self) -> list[URLPattern]:
        site_view = self.admin_site.admin_view
        views = {
            "edit": partial(pages.edit, self),
            "pause": partial(pages.move, self, verb=services.pause_schedule, done="Paused"),
            "resume": partial(pages.move, self, verb=services.resume_schedule, done="Resumed"),
            "run_now": partial(pages.run_now, self),
            "remove": partial(pages.remove, self),
        }
        own = [
            path(f"<int:pk>/{verb.replace('_', '-')}/", site_view(view), name=f"queue_core_schedule_{verb}")
            for verb, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("queue_core.add_schedule")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Change, pause, resume and run: on pages of their own, which call the verbs."""
        return request.user.has_perm("queue_core.change_schedule")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("queue_core.delete_schedule")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return pages.add(self, request)

    def detail(self, request: HttpRequest, obj: Schedule) -> dict[str, Any]:
        state = _state(obj)
        return {
            "title": str(obj),
            "label": {"text": state, "type": SCHEDULE_LABELS[state]},
            "buttons": pages.buttons(self, request, obj),
            "facts": facts(obj),
            "payload": json.dumps(obj.payload, indent=2, ensure_ascii=False),
            "upcoming": [date_format(time, "D j M Y, H:i:s T") for time in services.upcoming(obj, _UPCOMING)],
            "fires": [
                {
                    "row": fire,
                    "type": FIRE_LABELS[fire.outcome],
                    "time": moment(fire.fire_at),
                    "task": task_link(fire),
                }
                for fire in obj.fires.order_by("-fire_at")[:_SHOWN_FIRES]
            ],
        }

    @admin.action(description="Pause", permissions=["operate"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._report(request, "Paused", services.pause_schedule(_ids(queryset), by=actor(request)))

    @admin.action(description="Resume", permissions=["operate"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        try:
            self._report(request, "Resumed", services.resume_schedule(_ids(queryset), by=actor(request)))
        except QueueError as exc:
            messages.error(request, f"{exc} None was resumed.")

    def _report(self, request: HttpRequest, verb: str, outcome: services.BulkOutcome) -> None:
        sentence = outcome.sentence(verb, "schedule")
        messages.add_message(request, messages.SUCCESS if outcome.changed else messages.WARNING, sentence)

    @admin.display(description="Rhythm")
    def rhythm(self, schedule: Schedule) -> str:
        return schedule.description

    @label(description="State", label=SCHEDULE_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, schedule: Schedule) -> str:
        return _state(schedule)

    @admin.display(description="Next run")
    def next_run(self, schedule: Schedule) -> str:
        return moment(None if schedule.paused else schedule.next_fire_at)

    @admin.display(description="Last run")
    def last_run(self, schedule: Schedule) -> str:
        return moment(schedule.last_fire_at)


def facts(schedule: Schedule) -> list[tuple[str, Any]]:
    """(label, value) of what a schedule is; values are ready to be shown."""
    dash, own = "–", "the task's own"  # noqa: RUF001
    return [
        ("Rhythm", schedule.description),
        ("Cron expression", schedule.expression or dash),
        ("Task", schedule.task),
        ("Next run", moment(None if schedule.paused else schedule.next_fire_at)),
        ("Last run", moment(schedule.last_fire_at)),
        ("Starts", moment(schedule.starts_at)),
        ("Missed runs", schedule.get_missed_display()),
        ("Overlap", schedule.get_overlap_display()),
        ("Jitter", f"{schedule.jitter_seconds} s"),
        ("Queue", schedule.queue or own),
        ("Priority", own if schedule.priority is None else schedule.priority),
        ("Attempts", own if schedule.max_attempts is None else schedule.max_attempts),
    ]


def task_link(fire: ScheduleFire) -> str:
    """A link to the task of a fire; the task may have been pruned since."""
    if fire.task_id is None:
        return "–"  # noqa: RUF001
    url = reverse("admin:queue_core_task_change", args=[fire.task_id])
    return format_html('<a class="ph-link" href="{}">task {}</a>', url, fire.task_id)


def _state(schedule: Schedule) -> str:
    return "paused" if schedule.paused else "active"


def _ids(queryset: QuerySet[Schedule]) -> list[int]:
    # No more than a page can be ticked.
    return list(queryset.values_list("pk", flat=True)[:1000])
