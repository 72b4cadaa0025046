from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from unfold.decorators import display as label

from queue_core import conf, registry, search, services
from queue_core.admin import dead_letter_pages as pages
from queue_core.admin.bulk_actions import BulkActions
from queue_core.admin.filters import DayRange, NameFilter, QueueFilter, days, one_of, searched, tabs
from queue_core.admin.forms import as_text
from queue_core.admin.links import group_link, task_link
from queue_core.admin.times import ago, moment
from queue_core.errors import QueueError
from queue_core.fingerprints import FINGERPRINT
from queue_core.models import DeadLetter, Execution, Task
from queue_core.search import Term, Value
from queue_core.states import DeathReason

RESOLUTION_LABELS = {"open": "danger", "retried": "info", "replayed": "success", "discarded": "default"}
_STATES = ("open", "resolved")


class ResolutionFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in _STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        if self.value() == "open":
            return queryset.filter(resolution="")
        return queryset.exclude(resolution="") if self.value() == "resolved" else queryset


class ReasonFilter(admin.SimpleListFilter):
    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, reason.label.capitalize()) for reason in DeathReason]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        return queryset.filter(reason=self.value()) if self.value() in DeathReason.values else queryset


class GroupFilter(admin.SimpleListFilter):
    """One group's letters, where a page of that group leads here."""

    title = "group"
    parameter_name = "fingerprint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = chosen_group(request)
        return [(chosen, chosen[:8])] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        return queryset.filter(fingerprint=self.value())


def chosen_group(request: HttpRequest) -> str:
    text = request.GET.get("fingerprint", "")
    return text if FINGERPRINT.fullmatch(text) else ""


def open_ones(state: str) -> None:
    """Bulk verbs work on open letters only, so that needs no term."""
    if state == "resolved":
        raise QueueError("Resolved dead letters are done with: choose the open ones.")


@admin.register(DeadLetter)
class DeadLetterAdmin(BulkActions):
    list_display = ["number", "name", "queue", "reason_label", "short_error", "group", "age", "state_label"]
    list_display_links = ["number", "name"]
    list_filter = [ResolutionFilter, GroupFilter, ReasonFilter, QueueFilter, NameFilter, ("failed_at", DayRange)]
    list_filter_submit = True
    lookups = ("state", "reason", "queue", "name", "fingerprint", "failed_at_from", "failed_at_to")
    search_fields = ["name"]
    search_help_text = (
        "A task's id, beginning of a name, key or a word of the error; or reason:timeout group:0f5a… letter:>40"
        " failed:>=2026-01-31, and what finds tasks, such as queue:mail tag:x age:>1h payload.customer.id:7"
    )
    actions = ["replay_selected", "discard_selected"]
    bulk_terms: ClassVar = {
        "state": open_ones,
        "fingerprint": lambda text: Term("group", (Value(text),)) if FINGERPRINT.fullmatch(text) else None,
        "reason": one_of("reason", lambda: DeathReason.values),
        "queue": one_of("queue", conf.queues),
        "name": one_of("name", registry.names),
        **{f"failed_at_{end}": term for end, term in days("failed").items()},
    }
    everything = "letter:>0"
    detail_template = "queue_core/admin/dead_letter.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With `age` (timedelta since it failed), by the database's clock."""
        return DeadLetter.objects.select_related("resolved_by").annotate(age=Now() - F("failed_at"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        group = chosen_group(request)
        kept = f"fingerprint={group}" if group else ""
        above = tabs("queue_core.deadletter", request.path, request.GET.get("state", ""), _STATES, kept)
        context = {**(extra_context or {}), "tab_list": above, "title": "Dead letters"}
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return searched(request, queryset, search_term, search.letters), False

    def get_urls(self) -> list[URLPattern]:
        site_view = self.admin_site.admin_view
        own = [
            path("<int:pk>/replay/", site_view(partial(pages.replay, self)), name="queue_core_deadletter_replay"),
            path("<int:pk>/discard/", site_view(partial(pages.discard, self)), name="queue_core_deadletter_discard"),
        ]
        return [*own, *super().get_urls()]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Replay and discard: for those who may change dead letters, although nobody edits their rows."""
        return request.user.has_perm("queue_core.change_deadletter")

    def detail(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        state = obj.resolution or "open"
        task = Task.objects.filter(pk=obj.task_id).first()
        attempt = Execution.objects.filter(task=obj.task_id).order_by("-attempt").first()
        return {
            "title": f"Dead letter of {obj}",
            "label": {"text": state, "type": RESOLUTION_LABELS[state]},
            "buttons": pages.buttons(self, request, obj),
            "facts": facts(obj, task),
            "error": obj.error,
            "traceback": attempt.traceback if attempt else "",
            "payload": as_text(task.payload) if task else "",
            "form": pages.form_for(self, request, obj, task),
            "replay_url": reverse("admin:queue_core_deadletter_replay", args=[obj.pk]),
        }

    @admin.action(description="Replay", permissions=["operate"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        return pages.bulk(self, request, queryset, verb=pages.replay_all, title="Replay", done="Replayed")

    @admin.action(description="Discard", permissions=["operate"])
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        return pages.bulk(self, request, queryset, verb=services.discard, title="Discard", done="Discarded")

    def bulk_note(self, row: DeadLetter) -> str:
        return Truncator(row.error).chars(120)

    @admin.display(description="Id")
    def number(self, letter: DeadLetter) -> int:
        return letter.pk

    @label(description="Reason")  # type: ignore[untyped-decorator]
    def reason_label(self, letter: DeadLetter) -> str:
        return letter.get_reason_display()

    @admin.display(description="Error")
    def short_error(self, letter: DeadLetter) -> str:
        return format_html('<span title="{}">{}</span>', letter.error[:500], Truncator(letter.error).chars(60))

    @admin.display(description="Group")
    def group(self, letter: DeadLetter) -> str:
        return group_link(letter.fingerprint)

    @admin.display(description="Failed")
    def age(self, letter: Any) -> str:
        return format_html('<span title="{}">{}</span>', moment(letter.failed_at), ago(letter.age))

    @label(description="State", label=RESOLUTION_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, letter: DeadLetter) -> str:
        return letter.resolution or "open"


def facts(letter: DeadLetter, task: Task | None) -> list[tuple[str, Any]]:
    """(label, value) of a dead letter; values are ready to be shown."""
    rows: list[tuple[str, Any]] = [
        ("Task", task_link(task.pk) if task else f"task {letter.task_id}, forgotten"),
        ("Queue", letter.queue),
        ("Reason", letter.get_reason_display()),
        ("Failed", moment(letter.failed_at)),
        ("Group", group_link(letter.fingerprint)),
    ]
    if letter.resolution:
        rows += [
            (letter.get_resolution_display(), moment(letter.resolved_at)),
            ("By", letter.resolved_by or "–"),  # noqa: RUF001
            ("Replayed as", task_link(letter.replay_id)),
        ]
    return rows
