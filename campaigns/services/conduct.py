"""conduct: what a campaign under way needs besides sending, every few seconds until it is over."""

from campaigns import conf, lifecycle
from campaigns.services.chunk import chunk_error, has_live_chunks, submit_chunks
from campaigns.states import RecipientState
from queue_core.errors import Snooze

_REVIVE_SLICE = 10_000


def conduct(campaign_id: int) -> None:
    """Show the recipients of lost senders, bring deferred ones back in line, and end the campaign when all are done.

    Raises Snooze while the campaign goes on. A paused campaign needs no conductor: resume submits a new one.
    """
    lifecycle.recover(campaign_id)
    if not lifecycle.is_sending(campaign_id) or lifecycle.complete(campaign_id):
        return
    revived = lifecycle.revive(campaign_id, _REVIVE_SLICE)
    stranded = lifecycle.counts(campaign_id)[RecipientState.PENDING] and not has_live_chunks(campaign_id)
    if revived or stranded:
        submit_chunks(campaign_id)
    lifecycle.note_trouble(campaign_id, chunk_error(campaign_id))
    raise Snooze(conf.get("CONDUCT_SECONDS"))
