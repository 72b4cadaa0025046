import csv
from functools import partial
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, path, reverse

from campaigns import services
from campaigns.admin.campaign_pages import numbers, reading
from campaigns.models import RecipientImport
from queue_core.admin.ledger import LedgerAdmin, find
from queue_core.admin.times import moment

_SHOWN_REJECTED = 100


@admin.register(RecipientImport)
class RecipientImportAdmin(LedgerAdmin):
    list_display = ["filename", "campaign", "records", "created", "duplicates", "existing", "invalid", "author", "at"]
    list_select_related = ["campaign", "created_by"]
    actions = None
    detail_template = "campaigns/admin/recipient_import.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(rejected_csv, self))
        return [path("<int:pk>/rejected.csv", view, name="campaigns_recipientimport_rejected"), *super().get_urls()]

    def detail(self, request: HttpRequest, obj: RecipientImport) -> dict[str, Any]:
        rejected = list(obj.rejected_rows.order_by("line")[: _SHOWN_REJECTED + 1])
        download = reverse("admin:campaigns_recipientimport_rejected", args=[obj.pk])
        campaign = reverse("admin:campaigns_campaign_change", args=[obj.campaign_id])
        buttons = [{"title": "To the campaign", "icon": "campaign", "url": campaign}]
        if rejected:
            buttons.append({"title": "Rejected rows as CSV", "icon": "download", "url": download})
        return {
            "title": f"{obj.filename} into {obj.campaign}",
            "label": {"text": moment(obj.created_at), "type": "default"},
            "buttons": buttons,
            "facts": [*numbers(obj), *reading(obj.found)],
            "rejected": rejected[:_SHOWN_REJECTED],
            "rejected_more": len(rejected) > _SHOWN_REJECTED,
        }

    @admin.display(description="By")
    def author(self, made: RecipientImport) -> str:
        return str(made.created_by or "–")  # noqa: RUF001

    @admin.display(description="Imported")
    def at(self, made: RecipientImport) -> str:
        return moment(made.created_at)


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
