"""How far a campaign has come, drawn: for a list in the one query that finds it, for a page from its status."""

from typing import Any

from django.db.models import BigIntegerField, Case, IntegerField, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from campaigns.models import Campaign, CampaignCount
from campaigns.states import CampaignState, RecipientState
from queue_core.admin.times import span
from queue_core.texts import grouped

S = RecipientState

CAMPAIGN_LABELS = {
    "draft": "default",
    "scheduled": "info",
    "sending": "primary",
    "paused": "warning",
    "completed": "success",
    "cancelled": "default",
}
RECIPIENT_LABELS = {
    "pending": "default",
    "sending": "primary",
    "sent": "success",
    "deferred": "info",
    "rejected": "danger",
    "bounced": "danger",
    "suppressed": "default",
    "unconfirmed": "warning",
    "cancelled": "default",
}
# What is drawn of the bar, from left to right; pending is what stays empty.
_PARTS: dict[str, tuple[RecipientState, ...]] = {
    "sent": (S.SENT,),
    "unsure": (S.UNCONFIRMED,),
    "refused": (S.REJECTED, S.BOUNCED),
    "left-out": (S.SUPPRESSED, S.CANCELLED),
    "working": (S.SENDING, S.DEFERRED),
}
# Shown on a page only when there are some.
_RARE = (S.BOUNCED, S.CANCELLED)


def with_progress(campaigns: QuerySet[Campaign]) -> QuerySet[Any]:
    """Annotates `n_all`, `n_to_mail` and `n_<part>` from campaign_counts, in the query that finds the campaigns.

    Whom to mail are all but the suppressed.
    """
    counts = CampaignCount.objects.filter(campaign=OuterRef("pk")).order_by().values("campaign")

    def total(*states: RecipientState) -> Coalesce:
        rows = counts.filter(state__in=states) if states else counts
        summed = Subquery(rows.annotate(all=Sum("n")).values("all"), output_field=BigIntegerField())
        return Coalesce(summed, Value(0), output_field=BigIntegerField())

    parts = {f"n_{part.replace('-', '_')}": total(*states) for part, states in _PARTS.items()}
    to_mail = total(*(state for state in RecipientState if state != S.SUPPRESSED))
    return campaigns.annotate(n_all=total(), n_to_mail=to_mail, **parts)


def under_way_first(campaigns: QuerySet[Campaign]) -> QuerySet[Campaign]:
    """Those that send or are paused, then the newest."""
    under_way = Case(
        When(state__in=[CampaignState.SENDING, CampaignState.PAUSED], then=Value(0)),
        default=Value(1),
        output_field=IntegerField(),
    )
    return campaigns.order_by(under_way, "-pk")


def bar(campaign: Any) -> SafeString:
    """The progress bar of a campaign that comes `with_progress`."""
    numbers = {part: getattr(campaign, f"n_{part.replace('-', '_')}") for part in _PARTS}
    return _draw({part: percent(number, campaign.n_all) for part, number in numbers.items()})


def _draw(percents: dict[str, float]) -> SafeString:
    pieces = format_html_join("", '<span class="ph-{0}" data-part="{0}" style="width:{1}%"></span>', percents.items())
    return format_html('<span class="ph-bar">{}</span>', pieces)


def percent(number: int, total: int) -> float:
    return round(100 * number / total, 2) if total else 0.0


def live(status: dict[str, Any]) -> dict[str, Any]:
    """What changes on the page of a campaign, in words and numbers ready to be shown (see `services.status`)."""
    percents = {part: percent(sum(status[s] for s in states), status["total"]) for part, states in _PARTS.items()}
    return {
        "state": status["state"],
        "is_live": status["state"] == CampaignState.SENDING,
        "percents": percents,
        "counts": {state.value: grouped(status[state]) for state in RecipientState},
        "texts": {
            "done": f"{grouped(status[S.SENT])} of {grouped(status['total'] - status[S.SUPPRESSED])} sent",
            "rate": _rate(status),
            "left": _left(status),
            "trouble": status["trouble"],
        },
    }


def _rate(status: dict[str, Any]) -> str:
    told = f"{grouped(status['rate_per_minute'])} a minute"
    if status["state"] == CampaignState.SENDING:
        return told
    return f"{told} on average" if status["finished_at"] and status["rate_per_minute"] else "–"  # noqa: RUF001


def _left(status: dict[str, Any]) -> str:
    """How long it will take; when only deferred ones are left, how long until the next of them is tried."""
    now = timezone.now()
    if status["eta"]:
        return f"about {span(status['eta'] - now)}"
    if status["trouble"] or not status["next_try_at"] or status[S.PENDING] or status[S.SENDING]:
        return "–"  # noqa: RUF001
    if status["next_try_at"] <= now:
        return "the deferred ones are tried again now"
    return f"the next deferred one is tried in {span(status['next_try_at'] - now)}"


def panel(status: dict[str, Any], *, is_linked: bool) -> dict[str, Any]:
    """The status panel of a campaign: `live` with the bar; `is_linked`: each state leads to its recipients."""
    now = live(status)
    recipients = reverse("admin:campaigns_recipient_changelist")
    return {
        **now,
        "bar": _draw(now["percents"]),
        "url": reverse("admin:campaigns_campaign_status", args=[status["id"]]),
        "states": [
            {
                "name": state.value,
                "type": RECIPIENT_LABELS[state],
                "count": now["counts"][state],
                "is_none": not status[state],
                "is_rare": state in _RARE,
                "url": f"{recipients}?campaign={status['id']}&state={state}" if is_linked else "",
            }
            for state in RecipientState
        ],
    }
