"""conduct: what a campaign under way needs besides sending, every few seconds until it is over."""

from django.db import transaction

from campaigns import breaker, conf, lifecycle, mailer
from campaigns.models import Campaign
from campaigns.services.chunk import chunk_error, has_live_chunks, submit_chunks
from campaigns.services.decide_unconfirmed import decide_unconfirmed
from campaigns.states import RecipientState
from queue_core.errors import Snooze

_REVIVE_SLICE = 10_000


def conduct(campaign_id: int) -> None:
    """Bring deferred recipients back in line, end the campaign when all are done, and see to those of lost senders.

    Raises Snooze until the campaign is completed or cancelled and nothing of it is in flight. It stays through a
    pause: one that left could not be replaced by a resume that comes before its end is on record.
    """
    lifecycle.recover(campaign_id)
    if lifecycle.is_sending(campaign_id) and not lifecycle.complete(campaign_id):
        _advance(campaign_id)
    else:
        lifecycle.forget_pace(campaign_id)
    # After the end: from then on none can become unconfirmed of whom nobody would hear.
    decide_unconfirmed(campaign_id)
    if lifecycle.is_under_way(campaign_id) or lifecycle.counts(campaign_id)[RecipientState.SENDING]:
        raise Snooze(conf.get("CONDUCT_SECONDS"))


def _advance(campaign_id: int) -> None:
    with transaction.atomic():
        revived = lifecycle.revive(campaign_id, _REVIVE_SLICE)
        if revived:
            submit_chunks(campaign_id, revived)
    if lifecycle.counts(campaign_id)[RecipientState.PENDING] and not has_live_chunks(campaign_id):
        submit_chunks(campaign_id)
    blocked = _blocked(campaign_id)
    if blocked:
        lifecycle.forget_pace(campaign_id)
    else:
        lifecycle.note_pace(campaign_id)
    lifecycle.note_trouble(campaign_id, blocked or chunk_error(campaign_id))


def _blocked(campaign_id: int) -> str:
    """Why nothing can be sent; "" while one transport takes our mail, if not all of it."""
    chosen = Campaign.objects.values_list("transport_id", flat=True).get(pk=campaign_id)
    routes = mailer.routes(chosen)
    if not routes:
        return "No transport is enabled: enable one, or add one."
    broken = breaker.troubles([route.key for route in routes])
    out = [found for found in broken.values() if breaker.is_out(found)]
    return breaker.words(broken[routes[0].key]) if len(out) == len(routes) else ""
