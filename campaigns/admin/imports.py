import csv
from functools import partial
from types import SimpleNamespace
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from unfold.decorators import display as label

from campaigns import services
from campaigns.admin import import_preview
from campaigns.admin.campaign_pages import numbers, reading
from campaigns.admin.recipient import CampaignFilter
from campaigns.errors import CampaignError
from campaigns.models import RecipientImport
from campaigns.states import IMPORT_OVER, LIVE_IMPORT, ImportState
from queue_core.admin.ledger import LedgerAdmin, actor, demand, find, page
from queue_core.admin.times import moment
from queue_core.services.outcome import plural
from queue_core.texts import grouped

_SHOWN_REJECTED = 100
_LOOK_AGAIN_SECONDS = 2
_MOVING = LIVE_IMPORT | {ImportState.CHECKING}
IMPORT_LABELS = {
    "uploaded": "warning",
    "checking": "info",
    "waiting": "default",
    "running": "info",
    "done": "success",
    "failed": "danger",
    "cancelled": "warning",
}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.label) for state in ImportState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RecipientImport]) -> QuerySet[RecipientImport]:
        return queryset.filter(state=self.value()) if self.value() in ImportState.values else queryset


@admin.register(RecipientImport)
class RecipientImportAdmin(LedgerAdmin):
    list_display = [
        "filename",
        "campaign",
        "state_label",
        "rows",
        "added",
        "twice",
        "there_before",
        "rejected",
        "author",
        "at",
    ]
    list_filter = [CampaignFilter, StateFilter]
    lookups = ("campaign", "state")
    list_select_related = ["campaign", "created_by"]
    actions = None
    detail_template = "campaigns/admin/recipient_import.html"

    def has_view_permission(self, request: HttpRequest, obj: RecipientImport | None = None) -> bool:
        """Its rows are people: who may not see those sees no import either, as in the API."""
        return bool(super().has_view_permission(request, obj)) and request.user.has_perm("campaigns.view_recipient")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(rejected_csv, self))
        stop = self.admin_site.admin_view(partial(cancel, self))
        return [
            path("<int:pk>/rejected.csv", view, name="campaigns_recipientimport_rejected"),
            path(
                "<int:pk>/preview/",
                self.admin_site.admin_view(partial(import_preview.submit, self)),
                name="campaigns_recipientimport_preview",
            ),
            path("<int:pk>/cancel/", stop, name="campaigns_recipientimport_cancel"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of an import under way looks again by itself."""
        made = find(self, request, object_id)
        answer = page(self, request, self.detail_template, original=made, **self.detail(request, made))
        if made.state in _MOVING:
            answer["Refresh"] = str(_LOOK_AGAIN_SECONDS)
        return answer

    def detail(self, request: HttpRequest, obj: RecipientImport) -> dict[str, Any]:
        if obj.state in import_preview.NOT_BEGUN:
            return {**self.frame(request, obj), **_before(obj)}
        rejected = list(obj.rejected_rows.order_by("line")[: _SHOWN_REJECTED + 1])
        download = reverse("admin:campaigns_recipientimport_rejected", args=[obj.pk])
        frame = self.frame(request, obj)
        if rejected:
            frame["buttons"].append({"title": "Rejected rows as CSV", "icon": "download", "url": download})
        return {
            **frame,
            "facts": [*_course(obj), *numbers(obj), *reading(obj.found)],
            "rejected": rejected[:_SHOWN_REJECTED],
            "rejected_more": len(rejected) > _SHOWN_REJECTED,
        }

    def frame(self, request: HttpRequest, obj: RecipientImport) -> dict[str, Any]:
        campaign = reverse("admin:campaigns_campaign_change", args=[obj.campaign_id])
        buttons: list[dict[str, Any]] = [{"title": "To the campaign", "icon": "campaign", "url": campaign}]
        may_import = request.user.has_perm("campaigns.add_recipient")
        if obj.state not in IMPORT_OVER and may_import:
            stop = reverse("admin:campaigns_recipientimport_cancel", args=[obj.pk])
            buttons.append({"title": "Cancel", "icon": "block", "url": stop, "post": True})
        if obj.state == ImportState.FAILED and obj.file and may_import:
            again = reverse("admin:campaigns_recipientimport_preview", args=[obj.pk])
            buttons.append({"title": "Go on", "icon": "replay", "url": again, "post": True})
        return {
            "title": f"{obj.filename} into {obj.campaign}",
            "label": {"text": obj.state, "type": IMPORT_LABELS[obj.state]},
            "buttons": buttons,
        }

    @label(description="State", label=IMPORT_LABELS)  # type: ignore[untyped-decorator]
    def state_label(self, made: RecipientImport) -> str:
        return made.state

    @admin.display(description="Rows")
    def rows(self, made: RecipientImport) -> str:
        return _number(made, "records")

    @admin.display(description="Added")
    def added(self, made: RecipientImport) -> str:
        return _number(made, "created")

    @admin.display(description="Twice")
    def twice(self, made: RecipientImport) -> str:
        return _number(made, "duplicates")

    @admin.display(description="There before")
    def there_before(self, made: RecipientImport) -> str:
        return _number(made, "existing")

    @admin.display(description="Rejected")
    def rejected(self, made: RecipientImport) -> str:
        return _number(made, "invalid")

    @admin.display(description="By")
    def author(self, made: RecipientImport) -> str:
        return str(made.created_by or "–")  # noqa: RUF001

    @admin.display(description="Uploaded")
    def at(self, made: RecipientImport) -> str:
        return moment(made.created_at)


def _number(made: RecipientImport, name: str) -> str:
    """A dash while nothing of the file was read into the campaign: a zero would be an outcome."""
    is_begun = made.state == ImportState.DONE or made.records
    return grouped(getattr(made, name)) if is_begun else "–"  # noqa: RUF001


def _before(made: RecipientImport) -> dict[str, Any]:
    """Of a file that is not imported yet."""
    shown: dict[str, Any] = {"preview": import_preview.preview(made), "error": made.error}
    if made.checked is not None:
        rejected = [
            {"line": line, "email": email, "reason": reason} for line, email, reason in made.checked["rejected"]
        ]
        created = made.checked["created"]
        shown |= {
            "facts": [*numbers(SimpleNamespace(**made.checked), planned=True), *reading(made.found)],
            "rejected": rejected,
            "rejected_more": made.checked["invalid"] > len(rejected),
            "button": f"Import {plural(created, 'recipient')}",
        }
    return shown


def _course(made: RecipientImport) -> list[tuple[str, str]]:
    told = {
        "Read": f"{made.percent} % of {filesizeformat(made.size)}" if made.percent is not None else "",
        "Failed": made.error,
        "Asked for": moment(made.created_at),
        "Over": moment(made.finished_at) if made.finished_at else "",
    }
    return [(label, text) for label, text in told.items() if text]


def cancel(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    made = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.add_recipient"))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        services.cancel_import(made, by=actor(request))
    except CampaignError as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, f"Cancelled the import of {made.filename}; rows imported so far stay.")
    return HttpResponseRedirect(reverse("admin:campaigns_recipientimport_change", args=[pk]))


class _Echo:
    """A file that answers what is written to it: how csv.writer makes one line at a time."""

    def write(self, line: str) -> str:
        return line


def rejected_csv(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponseBase:
    """The rows of a file that were not imported, each with its line and the reason."""
    made = find(model_admin, request, pk)
    writer = csv.writer(_Echo())
    lines = (writer.writerow(row) for row in services.rejected_rows(made))
    answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="rejected-{made.pk}.csv"'
    return answer
