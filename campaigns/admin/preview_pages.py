"""The page that shows the mail somebody would get, and sends a test of it."""

import re
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from campaigns import services
from campaigns.addresses import search_prefix
from campaigns.errors import CampaignError
from campaigns.models import Campaign, Recipient
from queue_core.admin.ledger import actor, demand, find, page

# A mail shown here runs nothing, its links lead nowhere (the sandbox opens no window) and, unless pictures are asked
# for, loads nothing; the sandbox is the second lock.
_POLICY = (
    '<!doctype html><base target="_blank"><meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:{}\">"
)
_PARTS = {"html": "HTML", "text": "Text", "headers": "Headers", "source": "Source"}
_WIDTHS = {"": "Wide", "phone": "Phone"}


def preview(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """The mail to `?recipient=`, found by `?email=` or the first one; on POST a test of it to the addresses in `to`."""
    campaign = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.view_recipient"))
    people = Recipient.objects.filter(campaign=campaign).order_by("pk")
    chosen, own_address = _chosen(request, people), getattr(request.user, "email", "")
    if request.method == "POST":
        demand(model_admin.has_launch_permission(request))
        if _send(request, campaign, chosen):
            return HttpResponseRedirect(request.get_full_path())
        own_address = request.POST.get("to", "")
    mail = services.preview_message(campaign, chosen)
    asked = {name: request.GET.get(name, "") for name in ("part", "width", "images")}
    part = asked["part"] if asked["part"] in _PARTS else "html"
    where = _Links(request.path, {**asked, "part": part, "recipient": str(chosen.pk) if chosen else ""})
    frame = _POLICY.format(" https: http:" if asked["images"] else "")
    return page(
        model_admin,
        request,
        "campaigns/admin/preview.html",
        title=f"Preview of {campaign}",
        original=campaign,
        mail=mail,
        part=part,
        chosen=chosen,
        frame=frame + mail.html,
        width=asked["width"],
        size=filesizeformat(mail.size),
        tabs=[(title, where.to(part=name), name == part) for name, title in _PARTS.items()],
        widths=[(title, where.to(width=name), name == asked["width"]) for name, title in _WIDTHS.items()],
        images=None if asked["images"] else where.to(images="1"),
        before=_beside(where, people.filter(pk__lt=chosen.pk).order_by("-pk")) if chosen else None,
        after=_beside(where, people.filter(pk__gt=chosen.pk)) if chosen else None,
        searched=request.GET.get("email", ""),
        may_send=model_admin.has_launch_permission(request),
        own_address=own_address,
        back=reverse("admin:campaigns_campaign_change", args=[pk]),
    )


class _Links:
    """The same page with something changed."""

    def __init__(self, path: str, now: dict[str, str]) -> None:
        self._path, self._now = path, now

    def to(self, **changes: str) -> str:
        kept = {name: value for name, value in {**self._now, **changes}.items() if value}
        return f"{self._path}?{urlencode(kept)}"


def _chosen(request: HttpRequest, people: QuerySet[Recipient]) -> Recipient | None:
    wanted, typed = request.GET.get("recipient", ""), request.GET.get("email", "").strip()
    if re.fullmatch(r"[0-9]{1,18}", wanted):
        return people.filter(pk=wanted).first() or people.first()
    if typed and "\x00" not in typed:
        found = people.filter(key__startswith=search_prefix(typed)).order_by("key").first()
        if found is None:
            messages.warning(request, f"Nobody in this campaign has an address that begins with “{typed[:100]}”.")
        return found or people.first()
    return people.first()


def _beside(where: _Links, people: QuerySet[Recipient]) -> str | None:
    pk = people.values_list("pk", flat=True).first()
    return where.to(recipient=str(pk)) if pk else None


def _send(request: HttpRequest, campaign: Campaign, chosen: Recipient | None) -> bool:
    """Whether it was tried; if not, what was typed is to be corrected."""
    to = [address for address in re.split(r"[\s,;]+", request.POST.get("to", "")) if address]
    try:
        outcomes = services.send_test(campaign, to, recipient=chosen, by=actor(request))
    except CampaignError as exc:
        messages.error(request, str(exc))
        return False
    for outcome in outcomes:
        tell = messages.success if outcome.accepted else messages.error
        tell(request, f"{outcome.to}: {outcome.detail}")
    return True
