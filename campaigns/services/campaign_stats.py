"""campaign_stats: what became of a campaign in numbers, at a cost that does not grow with it."""

from typing import Any

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Coalesce

from campaigns import lifecycle
from campaigns.models import Campaign, CampaignHour, TrackedLink
from campaigns.states import EventKind

HOURS_MAX = 24 * 14
DOMAINS_MAX = 20
LINKS_MAX = 100
# So many recipients are looked at for the domains; a larger audience is told by its first ones.
DOMAIN_SAMPLE = 50_000

_DOMAINS = """
SELECT split_part(key, '@', 2) AS domain, count(*),
       count(*) FILTER (WHERE state = 'sent'),
       count(*) FILTER (WHERE state = 'deferred'),
       count(*) FILTER (WHERE state IN ('rejected', 'bounced'))
FROM (SELECT key, state FROM email_recipients WHERE campaign_id = %s ORDER BY id LIMIT %s) first
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
"""


def campaign_stats(campaign: Campaign) -> dict[str, Any]:
    """`states`, `events`: name -> number. `hours`: the latest, oldest first, each `hour` and numbers by kind.

    `domains`: the largest of the first `domains_of` recipients, each with `recipients sent deferred refused`.
    `links`: those that were tracked, each with `id url clicks people`, what most people clicked first. `more_domains`,
    `more_links`: there are others.
    """
    counts = lifecycle.counts(campaign.pk)
    total = sum(counts.values())
    tallied = CampaignHour.objects.filter(campaign=campaign).order_by()
    domains, links = _domains(campaign), _links(campaign)
    by_kind = dict(tallied.values_list("kind").annotate(Sum("n")))
    return {
        "total": total,
        "states": counts,
        "events": {kind.value: by_kind.get(kind.value, 0) for kind in EventKind},
        "hours": _hours(campaign),
        "domains": domains[:DOMAINS_MAX],
        "domains_of": min(total, DOMAIN_SAMPLE),
        "more_domains": len(domains) > DOMAINS_MAX,
        "links": links[:LINKS_MAX],
        "more_links": len(links) > LINKS_MAX,
    }


def _hours(campaign: Campaign) -> list[dict[str, Any]]:
    tallied = CampaignHour.objects.filter(campaign=campaign)
    latest = list(tallied.order_by("-hour").values_list("hour", flat=True).distinct()[:HOURS_MAX])
    found: dict[Any, dict[str, Any]] = {hour: {"hour": hour} for hour in reversed(latest)}
    if latest:
        rows = tallied.filter(hour__gte=latest[-1]).order_by().values_list("hour", "kind").annotate(Sum("n"))
        for hour, kind, number in rows:
            found[hour][kind] = number
    return list(found.values())


def _links(campaign: Campaign) -> list[dict[str, Any]]:
    """One more than are shown. A campaign has as many as its template, or a thousand."""
    found = TrackedLink.objects.filter(campaign=campaign).annotate(
        clicks=Coalesce(Sum("counts__clicks"), 0), people=Coalesce(Sum("counts__people"), 0)
    )
    first = found.order_by("-people", "-clicks", "pk")[: LINKS_MAX + 1]
    return [dict(row) for row in first.values("id", "url", "clicks", "people")]


def _domains(campaign: Campaign) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_DOMAINS, [campaign.pk, DOMAIN_SAMPLE, DOMAINS_MAX + 1])
        names = ("domain", "recipients", "sent", "deferred", "refused")
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
