"""Recipients that were over, and are looked at again by a person."""

from collections.abc import Sequence
from dataclasses import dataclass

from campaigns.lifecycle.sql import COUNT, TALLY, rows, shard
from campaigns.states import RecipientState

# Without a lease a sender that comes back late changes nothing any more: a person has decided.
_RESOLVE = f"""
WITH held AS (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %(campaign)s AND r.state = 'unconfirmed'
      AND (%(ids)s::bigint[] IS NULL OR r.id = ANY(%(ids)s::bigint[]))
      AND (%(attempts)s::int IS NULL OR r.attempts < %(attempts)s::int)
    ORDER BY r.id FOR UPDATE
), moved AS (
    UPDATE email_recipients r SET
        state = %(target)s, lease = NULL,
        sent_at = CASE WHEN %(target)s = 'sent' THEN now() END,
        detail = CASE WHEN %(target)s = 'sent' THEN 'marked as sent ' ELSE 'sent again ' END || %(who)s
    FROM held WHERE r.id = held.id
    RETURNING r.campaign_id, 'unconfirmed' AS before, r.state
), counted AS ({COUNT.replace("%s", "%(shard)s")}), happened AS (
    SELECT campaign_id, 'sent' AS kind, now() AS at FROM moved WHERE state = 'sent'
), tallied AS ({TALLY.replace("%s", "%(shard)s")})
SELECT count(*) FROM moved
"""


def resolve(
    campaign_id: int,
    ids: Sequence[int] | None = None,
    *,
    arrived: bool,
    who: str = "by hand",
    attempts: int | None = None,
) -> int:
    """Unconfirmed recipients, those of `ids` or all: -> sent when they have `arrived`, else -> pending. How many.

    With `attempts` only those who were tried fewer times. `who` goes on record.
    """
    values = {
        "campaign": campaign_id,
        "ids": None if ids is None else list(ids),
        "target": str(RecipientState.SENT if arrived else RecipientState.PENDING),
        "who": who,
        "attempts": attempts,
        "shard": shard(),
    }
    return int(rows(_RESOLVE, values)[0][0])


# A suppressed address would only be skipped again, so its row keeps the reply that it got.
_RETRY = f"""
WITH held AS (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %s AND r.state = 'rejected' AND r.id > %s AND (%s OR r.code IS NULL OR r.code < 500)
      AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.key = r.key)
    ORDER BY r.id LIMIT %s FOR UPDATE OF r
), moved AS (
    UPDATE email_recipients r SET state = 'pending', attempts = 0 FROM held WHERE r.id = held.id
    RETURNING r.id, r.campaign_id, 'rejected' AS before, r.state
), counted AS ({COUNT})
SELECT id FROM moved ORDER BY id
"""


def reopen_rejected(campaign_id: int, *, after: int, limit: int, hard: bool) -> list[int]:
    """rejected -> pending, with all their attempts; `hard`: also those refused for good (5xx).

    The ids of up to `limit` of them behind `after`, in order.
    """
    return [row[0] for row in rows(_RETRY, [campaign_id, after, hard, limit, shard()])]


# As many as are looked at; the numbers of a larger crowd are told by its latest.
_COUNTED = 50_000
_RETRYABLE = """
SELECT count(*) FILTER (WHERE s.id IS NULL AND (r.code IS NULL OR r.code < 500)),
       count(*) FILTER (WHERE s.id IS NULL AND r.code >= 500),
       count(s.id)
FROM (SELECT key, code FROM email_recipients WHERE campaign_id = %s AND state = 'rejected' ORDER BY id DESC LIMIT %s) r
LEFT JOIN suppressions s ON s.key = r.key
"""


@dataclass(frozen=True, slots=True)
class Retryable:
    """Of the rejected: refused for now, refused for good, suppressed. Not `is_all`: there are more, not looked at."""

    soft: int
    hard: int
    suppressed: int
    is_all: bool


def retryable(campaign_id: int) -> Retryable:
    """What `reopen_rejected` would find, at a cost that is bounded."""
    soft, hard, suppressed = rows(_RETRYABLE, [campaign_id, _COUNTED + 1])[0]
    return Retryable(soft, hard, suppressed, is_all=soft + hard + suppressed <= _COUNTED)
