"""Pages that ask before people are mailed once more, or unconfirmed mails are taken for sent. Each calls one verb."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from campaigns import services
from campaigns.admin.progress import grouped
from campaigns.errors import CampaignError
from campaigns.states import CampaignState, RecipientState
from queue_core.admin.ledger import actor, demand, find, page
from queue_core.services.outcome import BulkOutcome


@dataclass(frozen=True, slots=True)
class Again:
    """A verb on all recipients of a campaign that are in one state.

    `question` takes their number, `of_one` the address of somebody.
    """

    verb: Callable[..., BulkOutcome]
    concerns: RecipientState
    title: str
    done: str
    icon: str
    question: str
    hint: str
    of_one: str = ""


VERBS = {
    "retry-failed": Again(
        services.retry_failed,
        RecipientState.REJECTED,
        "Retry failed",
        "Retried",
        "replay",
        "Mail the rejected ones again, of whom there are {}?",
        "Those whom a mail server refused for good, and suppressed ones, are left alone.",
    ),
    "mark-sent": Again(
        services.mark_sent,
        RecipientState.UNCONFIRMED,
        "Mark unconfirmed as sent",
        "Marked as sent",
        "done_all",
        "Take {} unconfirmed for sent?",
        "Nobody is mailed by this.",
        "Take the mail to {} for sent?",
    ),
    "send-again": Again(
        services.send_again,
        RecipientState.UNCONFIRMED,
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
        try:
            messages.success(request, again.verb(campaign, by=actor(request)).sentence(again.done, "recipient"))
        except CampaignError as exc:
            messages.error(request, str(exc))
        return HttpResponseRedirect(back)
    return page(
        model_admin,
        request,
        "queue_core/admin/confirm.html",
        title=f"{again.title}: {campaign}",
        original=campaign,
        question=again.question.format(grouped(services.status(campaign)[again.concerns])),
        facts=[("Good to know", again.hint)],
        button=again.title,
        back=back,
    )


def offered(state: str, status: dict[str, int]) -> list[str]:
    """The names of those there is something to do for."""
    if state in (CampaignState.DRAFT, CampaignState.CANCELLED):
        return []
    return [name for name, again in VERBS.items() if status[again.concerns]]
