from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.text import Truncator

from queue_core import search, services
from queue_core.admin.filters import searched, tabs
from queue_core.admin.ledger import LedgerAdmin, actor, demand, find, page
from queue_core.admin.times import moment
from queue_core.fingerprints import FINGERPRINT
from queue_core.models import DeadLetter, DeadLetterGroup
from queue_core.services.outcome import plural

_STATES = ("open", "resolved")
_SHOWN_LETTERS = 20


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in _STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetterGroup]) -> QuerySet[DeadLetterGroup]:
        return queryset.filter(is_open=self.value() == "open") if self.value() in _STATES else queryset


@admin.register(DeadLetterGroup)
class DeadLetterGroupAdmin(LedgerAdmin):
    list_display = ["short_error", "name", "open", "total", "first", "last"]
    list_filter = [OpenFilter]
    lookups = ("state",)
    ordering = ("-is_open", "-last_seen")
    search_fields = ["name"]
    search_help_text = (
        "Beginning of a name or a word of the error; or name:crm.* group:0f5a… open:>100 total:>100 last:>=2026-01-31"
    )
    actions = None
    detail_template = "queue_core/admin/dead_letter_group.html"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """None, so a 404, for a text that no fingerprint can be: PostgreSQL does not take every one."""
        return super().get_object(request, object_id, from_field) if FINGERPRINT.fullmatch(object_id) else None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        above = tabs("queue_core.deadlettergroup", request.path, request.GET.get("state", ""), _STATES)
        context = {**(extra_context or {}), "tab_list": above, "title": "Dead letter groups"}
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetterGroup], search_term: str
    ) -> tuple[QuerySet[DeadLetterGroup], bool]:
        return searched(request, queryset, search_term, search.groups), False

    def get_urls(self) -> list[URLPattern]:
        views = {
            "replay": partial(self.close, verb=services.replay_group, title="Replay", done="Replayed"),
            "discard": partial(self.close, verb=services.discard_group, title="Discard", done="Discarded"),
        }
        own = [
            path(f"<str:pk>/{verb}/", self.admin_site.admin_view(view), name=f"queue_core_deadlettergroup_{verb}")
            for verb, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("queue_core.change_deadlettergroup")

    def detail(self, request: HttpRequest, obj: DeadLetterGroup) -> dict[str, Any]:
        letters = DeadLetter.objects.filter(fingerprint=obj.pk, resolution="").order_by("-pk")[:_SHOWN_LETTERS]
        listed = reverse("admin:queue_core_deadletter_changelist") + f"?fingerprint={obj.pk}"
        return {
            "title": f"Failures of {obj.name}",
            "label": {"text": f"{obj.open} open", "type": "danger"} if obj.open else {"text": "resolved", "type": ""},
            "buttons": [{"title": "List them", "icon": "list", "url": listed}, *self.verbs(request, obj)],
            "error": obj.error,
            "facts": [
                ("Open", obj.open),
                ("All times", obj.total),
                ("First seen", moment(obj.first_seen)),
                ("Last seen", moment(obj.last_seen)),
                ("Fingerprint", obj.pk),
            ],
            "letters": [
                {
                    "row": letter,
                    "url": reverse("admin:queue_core_deadletter_change", args=[letter.pk]),
                    "failed": moment(letter.failed_at),
                }
                for letter in letters
            ],
        }

    def verbs(self, request: HttpRequest, group: DeadLetterGroup) -> list[dict[str, Any]]:
        """The buttons of what this person may do."""
        if not (group.open and self.has_operate_permission(request)):
            return []
        offered = [("Replay all", "replay", "replay"), ("Discard all", "delete", "discard")]
        return [{"title": title, "icon": icon, "url": _url(verb, group)} for title, icon, verb in offered]

    def close(
        self,
        request: HttpRequest,
        pk: str,
        *,
        verb: Callable[..., services.BulkOutcome],
        title: str,
        done: str,
    ) -> HttpResponse:
        """Asks on GET, closes all open letters of the group on POST."""
        group: DeadLetterGroup = find(self, request, pk)
        demand(self.has_operate_permission(request))
        if request.method == "POST":
            outcome = verb(group, by=actor(request))
            level = messages.SUCCESS if outcome.changed else messages.WARNING
            messages.add_message(request, level, outcome.sentence(done, "dead letter"))
            return HttpResponseRedirect(_url("change", group))
        letters = plural(group.open, "open dead letter")
        after = "Each becomes a new task." if title == "Replay" else "The tasks stay failed."
        return page(
            self,
            request,
            "queue_core/admin/confirm.html",
            title=f"{title} all of {group.name}",
            original=group,
            question=f"{title} the {letters} of “{Truncator(group.error).chars(120)}”? {after}",
            button=f"{title} {group.open}",
            variant="primary" if title == "Replay" else "danger",
            back=_url("change", group),
        )

    @admin.display(description="Error")
    def short_error(self, group: DeadLetterGroup) -> str:
        return Truncator(group.error).chars(90) or "(no message)"

    @admin.display(description="First seen")
    def first(self, group: DeadLetterGroup) -> str:
        return moment(group.first_seen)

    @admin.display(description="Last seen")
    def last(self, group: DeadLetterGroup) -> str:
        return moment(group.last_seen)


def _url(page_name: str, group: DeadLetterGroup) -> str:
    return reverse(f"admin:queue_core_deadlettergroup_{page_name}", args=[group.pk])
