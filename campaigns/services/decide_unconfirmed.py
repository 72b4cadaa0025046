"""decide_unconfirmed: what a campaign's policy does where no person is asked."""

from django.db import transaction

from campaigns import conf, lifecycle
from campaigns.models import Campaign
from campaigns.states import CampaignState, RecipientState, UnconfirmedPolicy

_WHO = "by the campaign's policy"


def decide_unconfirmed(campaign_id: int) -> int:
    """Unconfirmed recipients, by the policy of their campaign; how many it decided.

    mark: -> sent. resend: -> pending, a completed campaign -> sending, nothing after a cancel; up to
    CAMPAIGNS_RESEND_ATTEMPTS attempts in all, for a mail may be what kills its senders. The rest waits for a person.
    """
    if not lifecycle.counts(campaign_id)[RecipientState.UNCONFIRMED]:
        return 0
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update().get(pk=campaign_id)
        if campaign.unconfirmed == UnconfirmedPolicy.MARK:
            return lifecycle.resolve(campaign_id, arrived=True, who=_WHO)
        if campaign.unconfirmed == UnconfirmedPolicy.ASK or campaign.state == CampaignState.CANCELLED:
            return 0
        changed = lifecycle.resolve(campaign_id, arrived=False, who=_WHO, attempts=conf.get("RESEND_ATTEMPTS"))
        if changed:
            lifecycle.move_campaign("reopen", campaign_id, finished_at=None)
        return changed
