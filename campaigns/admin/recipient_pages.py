"""The pages that change somebody in a draft or take them out, and decide about an unconfirmed mail; one verb each."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from campaigns import services
from campaigns.admin.again_pages import VERBS
from campaigns.admin.forms import RecipientForm
from campaigns.errors import CampaignError, RecipientRefused
from campaigns.models import Recipient
from campaigns.states import CampaignState, RecipientState
from queue_core.admin.forms import as_text
from queue_core.admin.ledger import actor, demand, find, page

# About one unconfirmed mail.
DECISIONS = {"mark-sent": "Mark as sent", "send-again": "Send again"}


def edit(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET what shall be another; on POST it is."""
    recipient = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.change_recipient"))
    now = {"email": recipient.email, "name": recipient.name, "attributes": as_text(recipient.attributes)}
    form = RecipientForm(request.POST or None, initial=now)
    if form.is_valid():
        try:
            services.edit_recipient(recipient, **form.cleaned_data, by=actor(request))
        except RecipientRefused as exc:
            form.add_error(exc.field, str(exc))
        except CampaignError as exc:
            messages.error(request, str(exc))
            return _back_to(pk)
        else:
            messages.success(request, f"Changed {recipient.email}.")
            return _back_to(pk)
    context = {"form": form, "button": "Save", "back": _page_of(pk)}
    return page(model_admin, request, "queue_core/admin/form.html", title=f"Edit {recipient.email}", **context)


def remove(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Asks on GET, takes them out on POST."""
    recipient = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.delete_recipient"))
    if request.method != "POST":
        return page(
            model_admin,
            request,
            "queue_core/admin/confirm.html",
            title=f"Remove {recipient.email}",
            original=recipient,
            question=f"Take {recipient.email} out of “{recipient.campaign.name}”?",
            button="Remove this recipient",
            back=_page_of(pk),
        )
    try:
        services.remove_recipient(recipient, by=actor(request))
    except CampaignError as exc:
        messages.error(request, str(exc))
        return _back_to(pk)
    messages.success(request, f"Removed {recipient.email}.")
    people = reverse("admin:campaigns_recipient_changelist")
    return HttpResponseRedirect(f"{people}?campaign={recipient.campaign_id}")


def decide(model_admin: Any, request: HttpRequest, pk: int, *, name: str) -> HttpResponse:
    """Asks on GET; on POST the mail is taken for sent, or sent again."""
    again = VERBS[name]
    recipient = find(model_admin, request, pk)
    demand(request.user.has_perm("campaigns.launch_campaign"))
    if request.method == "POST":
        try:
            outcome = again.verb(recipient.campaign, [recipient.pk], by=actor(request))
        except CampaignError as exc:
            messages.error(request, str(exc))
        else:
            tell = messages.success if outcome.changed else messages.warning
            tell(request, outcome.sentence(again.done, "recipient"))
        return _back_to(pk)
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"{DECISIONS[name]}: {recipient.email}",
        original=recipient,
        question=again.of_one.format(recipient.email),
        facts=[("Good to know", again.hint)],
        button=DECISIONS[name],
        variant="primary" if name == "mark-sent" else "danger",
        back=_page_of(pk),
    )


def buttons(request: HttpRequest, recipient: Recipient) -> list[dict[str, Any]]:
    """What this person may do with somebody: change them in a draft, decide about an unconfirmed mail."""
    if recipient.campaign.state == CampaignState.DRAFT:
        offered = (("change", "Edit", "edit", "edit"), ("delete", "Remove", "remove", "person_remove"))
        return [
            _button(title, icon, name, recipient)
            for permission, title, name, icon in offered
            if request.user.has_perm(f"campaigns.{permission}_recipient")
        ]
    is_open = recipient.state == RecipientState.UNCONFIRMED and recipient.campaign.state != CampaignState.CANCELLED
    if not is_open or not request.user.has_perm("campaigns.launch_campaign"):
        return []
    return [_button(title, VERBS[name].icon, name, recipient) for name, title in DECISIONS.items()]


def _button(title: str, icon: str, name: str, recipient: Recipient) -> dict[str, Any]:
    return {"title": title, "icon": icon, "url": reverse(f"admin:campaigns_recipient_{name}", args=[recipient.pk])}


def _page_of(pk: int) -> str:
    return reverse("admin:campaigns_recipient_change", args=[pk])


def _back_to(pk: int) -> HttpResponse:
    return HttpResponseRedirect(_page_of(pk))
