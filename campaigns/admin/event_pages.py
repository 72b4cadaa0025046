"""What happened to the mails of a campaign, or to that of a recipient, newest first."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from campaigns.models import CampaignEvent, Recipient, TrackedLink
from campaigns.states import EventKind
from queue_core.admin.ledger import demand, find, page
from queue_core.admin.times import moment

_SHOWN = 50
_FILTERS = {"kind": "kind", "recipient": "recipient_id", "link": "link_id"}
_LABELS = {
    "deferred": "info",
    "rejected": "danger",
    "bounced": "danger",
    "complained": "danger",
    "opened": "success",
    "clicked": "success",
    "unsubscribed": "warning",
}


def events(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Of one `?kind=`, `?recipient=` or `?link=`, or all; `?before=` is the id that the page begins below."""
    campaign = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.view_recipient"))
    chosen = {name: value for name in (*_FILTERS, "before") if (value := _given(request, name))}
    found = CampaignEvent.objects.filter(campaign=campaign)
    for name, column in _FILTERS.items():
        if name in chosen:
            found = found.filter(**{column: chosen[name]})
    if "before" in chosen:
        found = found.filter(pk__lt=int(chosen["before"]))
    rows, older = latest(found)
    people = dict(Recipient.objects.filter(pk__in={row["recipient"] for row in rows}).values_list("pk", "email"))
    for row in rows:
        row["email"] = people.get(row["recipient"], "")
    kept = {name: value for name, value in chosen.items() if name != "before"}
    return page(
        model_admin,
        request,
        "campaigns/admin/events.html",
        title=f"Events of {campaign}",
        original=campaign,
        tabs=_tabs(kept),
        link=TrackedLink.objects.filter(campaign=campaign, pk=chosen["link"]).first() if "link" in chosen else None,
        events=rows,
        with_address=True,
        older=f"?{urlencode({**kept, 'before': older})}" if older else "",
        back=reverse("admin:campaigns_campaign_change", args=[pk]),
    )


def of_recipient(recipient: Recipient) -> dict[str, Any]:
    """For the page of a recipient: the latest, and where the others are."""
    rows, older = latest(CampaignEvent.objects.filter(recipient=recipient))
    all_of_them = reverse("admin:campaigns_campaign_events", args=[recipient.campaign_id])
    return {"events": rows, "older": f"{all_of_them}?recipient={recipient.pk}&before={older}" if older else ""}


def latest(found: QuerySet[CampaignEvent]) -> tuple[list[dict[str, Any]], int | None]:
    """The newest of them as `events_table.html` shows them, and the id below which the next page begins."""
    rows = list(found.order_by("-pk")[: _SHOWN + 1])
    shown = [
        {
            "recipient": row.recipient_id,
            "at": moment(row.at),
            "kind": row.kind,
            "type": _LABELS[row.kind],
            "text": reply(row.code, row.detail),
        }
        for row in rows[:_SHOWN]
    ]
    return shown, rows[_SHOWN - 1].pk if len(rows) > _SHOWN else None


def reply(code: int | None, detail: str) -> str:
    """The words of a reply with its code in front, where they do not begin with it themselves."""
    return detail if code is None or detail.startswith(str(code)) else f"{code} {detail}".strip()


def _given(request: HttpRequest, name: str) -> str:
    """What could not be is left out."""
    text = request.GET.get(name, "")
    if name == "kind":
        return text if text in EventKind.values else ""
    return text if text.isascii() and text.isdigit() and len(text) < 19 else ""


def _tabs(kept: dict[str, str]) -> list[tuple[str, str, bool]]:
    """(name, url, is it this one), beginning with all of them."""
    chosen = kept.get("kind", "")
    others = {name: value for name, value in kept.items() if name == "recipient"}
    kinds = [("all", "")] + [(kind.value, kind.value) for kind in EventKind]
    return [
        (name, f"?{urlencode({**others, 'kind': kind} if kind else others)}", kind == chosen) for name, kind in kinds
    ]
