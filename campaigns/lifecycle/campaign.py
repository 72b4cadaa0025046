"""The states of campaigns."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from campaigns.lifecycle.sql import rows
from campaigns.models import Campaign
from campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState, RecipientState


def move_campaign(verb: str, campaign_id: int, **values: Any) -> bool:
    """One guarded update by CAMPAIGN_TRANSITIONS; False when the campaign was in none of the verb's states."""
    moves = CAMPAIGN_TRANSITIONS[verb]
    (target,) = {state for targets in moves.values() for state in targets}
    return bool(Campaign.objects.filter(pk=campaign_id, state__in=list(moves)).update(state=target, **values))


_OPEN = """
SELECT 1 FROM email_recipients r WHERE r.campaign_id = %s AND r.state IN ('pending', 'sending', 'deferred') LIMIT 1
"""
_COMPLETE = """
UPDATE campaigns c SET state = 'completed', finished_at = now(), trouble = ''
WHERE c.id = %s AND c.state = 'sending' AND NOT EXISTS (
    SELECT 1 FROM email_recipients r WHERE r.campaign_id = c.id AND r.state IN ('pending', 'sending', 'deferred'))
RETURNING c.id
"""


def complete(campaign_id: int) -> bool:
    """sending -> completed, once no recipient is open any more.

    The lock comes first: a verb that opens recipients again holds it too, and the statement must see what it did.
    """
    if rows(_OPEN, [campaign_id]):
        return False
    with transaction.atomic():
        rows("SELECT id FROM campaigns WHERE id = %s FOR UPDATE", [campaign_id])
        return bool(rows(_COMPLETE, [campaign_id]))


def note_trouble(campaign_id: int, text: str) -> None:
    """Say why sending does not advance ("" when it does again)."""
    Campaign.objects.filter(pk=campaign_id).exclude(trouble=text).update(trouble=text)


def counts(campaign_id: int) -> dict[str, int]:
    """Recipients per state, from the running counts."""
    found = dict(
        rows("SELECT state, sum(n)::bigint FROM campaign_counts WHERE campaign_id = %s GROUP BY state", [campaign_id])
    )
    return {state.value: int(found.get(state.value, 0)) for state in RecipientState}


def totals(campaign_ids: Sequence[int]) -> dict[int, int]:
    """Recipients of each campaign, from the running counts; those without any are left out."""
    sql = "SELECT campaign_id, sum(n)::bigint FROM campaign_counts WHERE campaign_id = ANY(%s) GROUP BY campaign_id"
    return {campaign_id: int(n) for campaign_id, n in rows(sql, [list(campaign_ids)])}


def is_sending(campaign_id: int) -> bool:
    return Campaign.objects.filter(pk=campaign_id, state=CampaignState.SENDING).exists()


def is_under_way(campaign_id: int) -> bool:
    """Whether it is launched and may still mail somebody."""
    return Campaign.objects.filter(pk=campaign_id, state__in=(CampaignState.SENDING, CampaignState.PAUSED)).exists()
