"""The list of suppressions as a whole: put a file on it, take it out as one."""

from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse

from campaigns import services
from campaigns.admin.campaign_pages import numbers, reading
from campaigns.admin.forms import SuppressionListForm
from campaigns.errors import CampaignError
from queue_core.admin.ledger import actor, demand, page
from queue_core.texts import grouped

_SHOWN_REJECTED = 100


def import_list(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Asks for a file on GET; on POST imports it, or says what would happen, and shows the report."""
    demand(model_admin.has_add_permission(request))
    form = SuppressionListForm(request.POST or None, request.FILES or None)
    shown: dict[str, Any] = {}
    if form.is_valid():
        given = dict(form.cleaned_data)
        upload = given.pop("file")
        try:
            report = services.import_suppressions(upload.file, by=actor(request), **given)
        except CampaignError as exc:
            form.add_error("file", f"{exc} Nothing was imported.")
        else:
            shown = _told(report, dry_run=given["dry_run"])
    context = {"form": form, "button": "Go", "back": reverse("admin:campaigns_suppression_changelist"), **shown}
    return page(model_admin, request, "campaigns/admin/import_list.html", title="Import suppressions", **context)


def _told(report: services.Report, *, dry_run: bool) -> dict[str, Any]:
    rows = [{"line": line, "email": email, "reason": reason} for line, email, reason, _ in report.rejected]
    added = f"{grouped(report.created)} address{'' if report.created == 1 else 'es'}"
    said = f"{added} would be put on the list; nothing was written. Choose the file again and untick the box to do it."
    left_out = {"Of these suppressed", "In the campaign before", "In the campaign already"}
    facts = [fact for fact in numbers(report, planned=dry_run) if fact[0] not in left_out]
    return {
        "said": said if dry_run else f"Put {added} on the list.",
        "facts": [*facts, ("On the list before", grouped(report.existing)), *reading(report.found)],
        "rejected": rows[:_SHOWN_REJECTED],
        "rejected_more": len(rows) > _SHOWN_REJECTED,
    }


def export(model_admin: Any, request: HttpRequest) -> StreamingHttpResponse:
    """The list as it is filtered and searched now, as CSV."""
    demand(model_admin.has_view_permission(request))
    found = model_admin.get_changelist_instance(request).get_queryset(request)
    answer = StreamingHttpResponse(services.export_suppressions(found), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="suppressions.csv"'
    return answer
