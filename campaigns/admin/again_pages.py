"""Pages that ask before people are mailed once more, or unconfirmed mails are taken for sent. Each calls one verb."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from campaigns import services
from campaigns.admin.forms import RetryForm
from campaigns.errors import CampaignError
from campaigns.models import Campaign
from campaigns.states import CampaignState, RecipientState
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.services.outcome import BulkOutcome
from queue_core.texts import grouped


@dataclass(frozen=True, slots=True)
class Again:
    """A verb on all unconfirmed recipients of a campaign.

    `question` takes their number, `of_one` the address of somebody.
    """

    verb: Callable[..., BulkOutcome]
    title: str
    done: str
    icon: str
    question: str
    hint: str
    of_one: str


VERBS = {
    "mark-sent": Again(
        services.mark_sent,
        "Mark unconfirmed as sent",
        "Marked as sent",
        "done_all",
        "Take {} unconfirmed for sent?",
        "Nobody is mailed by this.",
        "Take the mail to {} for sent?",
    ),
    "send-again": Again(
        services.send_again,
        "Send unconfirmed again",
        "Sent again",
        "forward_to_inbox",
        "Mail {} unconfirmed again? They may get it twice.",
        "The sender was lost in the moment that decides: the mail has arrived, or it has not.",
        "Mail {} again? They may get it twice.",
    ),
}


def ask(model_admin: ModelAdmin, request: HttpRequest, pk: int, *, name: str) -> HttpResponse:
    """Asks on GET, does it on POST."""
    again = VERBS[name]
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_launch_permission(request))
    back = reverse("admin:campaigns_campaign_change", args=[pk])
    if request.method == "POST":
        _do(request, campaign, again.done, again.verb)
        return HttpResponseRedirect(back)
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"{again.title}: {campaign}",
        original=campaign,
        question=again.question.format(grouped(services.status(campaign)[RecipientState.UNCONFIRMED])),
        facts=[("Good to know", again.hint)],
        button=again.title,
        back=back,
    )


def retry_failed(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Says on GET who would be mailed again and who not, and asks; does it on POST."""
    campaign = find(model_admin, request, pk)
    demand(model_admin.has_launch_permission(request))
    back = reverse("admin:campaigns_campaign_change", args=[pk])
    form = RetryForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        _do(request, campaign, "Retried", partial(services.retry_failed, hard=form.cleaned_data["hard"]))
        return HttpResponseRedirect(back)
    found = services.retryable(campaign)
    more = "" if found.is_all else " or more"
    return page(
        model_admin,
        request,
        "campaigns/admin/retry.html",
        title=f"Retry failed: {campaign}",
        original=campaign,
        question=_asked(found.soft, found.hard, more),
        facts=[
            ("Refused for now, or never handed over: mailed again", f"{grouped(found.soft)}{more}"),
            ("Refused for good: only when you say so", f"{grouped(found.hard)}{more}"),
            ("Suppressed meanwhile: left alone", f"{grouped(found.suppressed)}{more}"),
        ],
        form=form if found.hard else None,
        is_any=bool(found.soft or found.hard or more),
        button="Retry failed",
        back=back,
    )


def _asked(soft: int, hard: int, more: str) -> str:
    if soft:
        noun = "recipient" if soft == 1 and not more else "recipients"
        return f"Mail {grouped(soft)}{more} rejected {noun} again?"
    if hard or more:
        return "Whoever was rejected was refused for good: nobody is mailed again unless you include them."
    return "Nobody can be mailed again: whoever was rejected is suppressed by now."


def _do(request: HttpRequest, campaign: Campaign, done: str, verb: Callable[..., BulkOutcome]) -> None:
    try:
        outcome = verb(campaign, by=actor(request))
    except CampaignError as exc:
        messages.error(request, str(exc))
        return
    tell = messages.success if outcome.changed else messages.warning
    tell(request, outcome.sentence(done, "recipient"))


def offered(state: str, status: dict[str, int]) -> list[tuple[str, str, str]]:
    """(name, title, icon) of those there is something to do for."""
    if state in (CampaignState.DRAFT, CampaignState.CANCELLED):
        return []
    found = [("retry-failed", "Retry failed", "replay")] if status[RecipientState.REJECTED] else []
    if status[RecipientState.UNCONFIRMED]:
        found += [(name, again.title, again.icon) for name, again in VERBS.items()]
    return found
