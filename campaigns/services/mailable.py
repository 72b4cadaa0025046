"""mailable: whom a campaign would mail if it were launched now."""

from dataclasses import dataclass

from django.db import connection

from campaigns import lifecycle
from campaigns.models import Campaign
from campaigns.states import RecipientState
from queue_core.texts import grouped

# Looking up each of a million would take seconds.
LOOKED_AT_MAX = 100_000

# Addresses can be suppressed after they were added: they stay pending until it is their turn.
_LATE = """
SELECT count(*), count(s.id)
FROM (SELECT key FROM email_recipients WHERE campaign_id = %s AND state = 'pending' ORDER BY id LIMIT %s) r
LEFT JOIN suppressions s ON s.key = r.key
"""


@dataclass(frozen=True, slots=True)
class Mailable:
    """`to_mail`, `suppressed`: numbers of recipients; whoever was not looked up counts as to be mailed.

    `looked_at`: how many were looked up, and `found`: how many of these are not suppressed.
    """

    to_mail: int
    suppressed: int
    looked_at: int
    found: int
    is_exact: bool

    @property
    def number(self) -> str:
        return f"{'' if self.is_exact else 'at most '}{grouped(self.to_mail)}"

    @property
    def words(self) -> str:
        return f"{self.number} {'recipient' if self.to_mail == 1 else 'recipients'}"


def mailable(campaign: Campaign, people: int | None = None) -> Mailable:
    """Looks up the first `people` recipients, LOOKED_AT_MAX at most: those on the suppression list are not mailed."""
    counts = lifecycle.counts(campaign.pk)
    pending, suppressed = counts[RecipientState.PENDING], counts[RecipientState.SUPPRESSED]
    with connection.cursor() as cursor:
        cursor.execute(_LATE, [campaign.pk, min(people or LOOKED_AT_MAX, LOOKED_AT_MAX)])
        looked_at, late = cursor.fetchone()
    return Mailable(
        to_mail=max(pending - late, 0),
        suppressed=suppressed + late,
        looked_at=looked_at,
        found=looked_at - late,
        is_exact=looked_at >= pending,
    )
