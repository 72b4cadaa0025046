"""Recipients that were over, and are looked at again by a person."""

from collections.abc import Sequence

from campaigns.lifecycle.sql import COUNT, rows, shard
from campaigns.states import RecipientState

# Without a lease a sender that comes back late changes nothing any more: a person has decided.
_RESOLVE = f"""
WITH held AS (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %s AND r.state = 'unconfirmed' AND (%s::bigint[] IS NULL OR r.id = ANY(%s::bigint[]))
    ORDER BY r.id FOR UPDATE
), moved AS (
    UPDATE email_recipients r SET
        state = %s, lease = NULL,
        sent_at = CASE WHEN %s = 'sent' THEN now() END,
        detail = CASE WHEN %s = 'sent' THEN 'marked as sent by hand' ELSE 'sent again by hand' END
    FROM held WHERE r.id = held.id
    RETURNING r.campaign_id, 'unconfirmed' AS before, r.state
), counted AS ({COUNT})
SELECT count(*) FROM moved
"""


def resolve(campaign_id: int, ids: Sequence[int] | None, *, arrived: bool) -> int:
    """Unconfirmed recipients, those of `ids` or all: -> sent when they have `arrived`, else -> pending. How many."""
    chosen = None if ids is None else list(ids)
    target = str(RecipientState.SENT if arrived else RecipientState.PENDING)
    return int(rows(_RESOLVE, [campaign_id, chosen, chosen, target, target, target, shard()])[0][0])


# A suppressed address would only be skipped again, so its row keeps the reply that it got.
_RETRY = f"""
WITH held AS (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %s AND r.state = 'rejected' AND (%s OR r.code IS NULL OR r.code < 500)
      AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.key = r.key)
    ORDER BY r.id FOR UPDATE OF r
), moved AS (
    UPDATE email_recipients r SET state = 'pending', attempts = 0 FROM held WHERE r.id = held.id
    RETURNING r.campaign_id, 'rejected' AS before, r.state
), counted AS ({COUNT})
SELECT count(*) FROM moved
"""


def reopen_rejected(campaign_id: int, *, hard: bool) -> int:
    """rejected -> pending, with all their attempts; `hard`: also those refused for good (5xx). How many."""
    return int(rows(_RETRY, [campaign_id, hard, shard()])[0][0])
