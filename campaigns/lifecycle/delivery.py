"""Recipients on their way: leased by a sender, settled, brought back."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from campaigns.lifecycle.sql import COUNT, TALLY, rows, shard
from campaigns.states import RecipientState
from queue_core import prepared
from queue_core.texts import shorten

_MAX_DETAIL = 500


@dataclass(frozen=True, slots=True)
class Leased:
    """A recipient in the hands of a sender."""

    id: int
    key: str
    email: str
    name: str
    attributes: str  # JSON text
    attempts: int
    # What was answered the last time, when it was a refusal.
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a leased recipient. `delay`: seconds until a deferred one is tried again.

    Without `tried` the attempt is not counted; a pending one's never is.
    """

    id: int
    state: RecipientState
    code: int | None = None
    detail: str = ""
    delay: float = 0.0
    tried: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """Up to `limit` pending recipients with `after` < id <= `last`, of `ids` where given, for an attempt of a task."""

    campaign_id: int
    after: int
    last: int
    task_id: int
    limit: int
    ids: Sequence[int] | None = None


# Leasing looks at the campaign (paused?), at the task (is this attempt still the owner?) and at the suppression list
# (also of those who unsubscribed after the launch) in the very statement that marks the rows.
_LEASED = """
picked AS MATERIALIZED (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %s AND r.state = 'pending' AND r.id > %s AND r.id <= %s
      AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = r.campaign_id AND c.state = 'sending')
      AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = %s AND t.state = 'running' AND t.lease = %s)
      AND (%s::bigint[] IS NULL OR r.id = ANY(%s::bigint[]))
    ORDER BY r.id LIMIT %s FOR UPDATE OF r SKIP LOCKED
), leased AS (
    UPDATE email_recipients r SET
        state = CASE WHEN s.id IS NULL THEN 'sending' ELSE 'suppressed' END,
        detail = coalesce(s.reason, ''),
        lease = CASE WHEN s.id IS NULL THEN %s::uuid END,
        attempts = r.attempts + (s.id IS NULL)::int
    FROM picked JOIN email_recipients own ON own.id = picked.id LEFT JOIN suppressions s ON s.key = own.key
    WHERE r.id = picked.id
    RETURNING r.id, r.campaign_id, r.key, r.email, r.name, r.attributes, r.attempts, r.code, r.state,
        'pending' AS before
)"""

# An outcome is written by the lease that sent the mail. A row that was given up as unconfirmed in the meantime still
# takes a final one: then it is known after all. It is never opened again, for its campaign may be over.
_SETTLED = """
o AS (
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::text[], %s::float8[], %s::bool[])
    AS o(id, state, code, detail, delay, tried)
), held AS (
    SELECT r.id, r.state FROM email_recipients r JOIN o ON o.id = r.id
    WHERE r.lease = %s
      AND (r.state = 'sending' OR r.state = 'unconfirmed' AND o.state IN ('sent', 'rejected', 'bounced'))
    ORDER BY r.id FOR UPDATE OF r
), settled AS (
    UPDATE email_recipients r SET
        state = o.state, code = o.code, detail = o.detail,
        attempts = r.attempts - (NOT o.tried)::int,
        sent_at = CASE WHEN o.state = 'sent' THEN now() END,
        retry_at = CASE WHEN o.state = 'deferred' THEN now() + make_interval(secs => o.delay) END,
        lease = CASE WHEN o.state = 'unconfirmed' THEN r.lease END
    FROM held JOIN o ON o.id = held.id WHERE r.id = held.id
    RETURNING r.id, r.campaign_id, held.state AS before, r.state, r.code, r.detail, o.tried
)"""
_TOLD = f"""
noted AS (
    INSERT INTO campaign_events (campaign_id, recipient_id, kind, code, detail)
    SELECT campaign_id, id, state, code, detail FROM settled
    WHERE state IN ('deferred', 'rejected', 'bounced') AND tried
    RETURNING campaign_id, kind, at
), happened AS (
    SELECT campaign_id, kind, at FROM noted
    UNION ALL SELECT campaign_id, 'sent', now() FROM settled WHERE state = 'sent'
), tallied AS ({TALLY})"""


@cache
def _statement(*, settles: bool, leases: bool) -> str:
    """Does one or both, and answers the leased rows, else how many were settled."""
    changes = [*(["settled"] if settles else []), *(["leased"] if leases else [])]
    moved = " UNION ALL ".join(f"SELECT campaign_id, before, state FROM {change}" for change in changes)
    parts = [
        *([_SETTLED] if settles else []),
        *([_LEASED] if leases else []),
        f"moved AS ({moved}), counted AS ({COUNT})",
        *([_TOLD] if settles else []),
    ]
    answer = "id, key, email, name, attributes::text, attempts, code, state FROM leased ORDER BY id"
    return f"WITH {', '.join(parts)} SELECT {answer if leases else 'count(*) FROM settled'}"


_LINE = """
SELECT id, split_part(key, '@', 2) FROM email_recipients
WHERE campaign_id = %s AND state = 'pending' AND id > %s AND id <= %s ORDER BY id
"""


def line(campaign_id: int, *, after: int, last: int) -> list[tuple[int, str]]:
    """(id, domain) of the pending recipients with `after` < id <= `last`, which are those of a chunk."""
    return rows(_LINE, [campaign_id, after, last])


def settle_and_lease(
    token: uuid.UUID, settled: Sequence[Settled], wish: Wish | None
) -> tuple[list[Leased], int | None]:
    """Write outcomes of recipients this lease holds, and take more in the same statement: a sender's turn.

    sending -> sent, deferred, rejected …; pending -> sending (or suppressed). A refusal of the recipient is also an
    event; one of us (`tried` is False) is none. Returns those to mail and the highest id looked at; None when the range
    is over, the campaign is not sending any more, or the task's attempt lost its lease.
    """
    if wish is None:
        settle(token, settled)
        return [], None
    taken = prepared.rows(
        _statement(settles=bool(settled), leases=True),
        [
            *(_settling(token, settled) if settled else []),
            *_leasing(token, wish),
            shard(),
            *([shard()] if settled else []),
        ],
    )
    if not taken:
        return [], None
    return [Leased(*row[:7]) for row in taken if row[7] == RecipientState.SENDING], taken[-1][0]


def settle(token: uuid.UUID, settled: Sequence[Settled]) -> int:
    """Write outcomes of recipients this lease holds. Returns how many it held."""
    if not settled:
        return 0
    held = prepared.rows(_statement(settles=True, leases=False), [*_settling(token, settled), shard(), shard()])
    return int(held[0][0])


def _settling(token: uuid.UUID, settled: Sequence[Settled]) -> list[Any]:
    return [
        [s.id for s in settled],
        [str(s.state) for s in settled],
        [s.code for s in settled],
        [shorten(s.detail, _MAX_DETAIL) for s in settled],
        [s.delay for s in settled],
        [s.tried and s.state != RecipientState.PENDING for s in settled],
        token,
    ]


def _leasing(token: uuid.UUID, wish: Wish) -> list[Any]:
    chosen = None if wish.ids is None else list(wish.ids)
    return [wish.campaign_id, wish.after, wish.last, wish.task_id, token, chosen, chosen, wish.limit, token]


_RECOVER = f"""
WITH stale AS (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %s AND r.state = 'sending' AND NOT EXISTS (
        SELECT 1 FROM campaign_tasks c JOIN tasks t ON t.id = c.task_id
        WHERE c.campaign_id = r.campaign_id AND t.state = 'running' AND t.lease = r.lease)
    FOR UPDATE OF r SKIP LOCKED
), moved AS (
    UPDATE email_recipients r SET state = 'unconfirmed', detail = 'the sender was lost while this one was in flight'
    FROM stale WHERE r.id = stale.id
    RETURNING r.campaign_id, 'sending' AS before, r.state
), counted AS ({COUNT})
SELECT count(*) FROM moved
"""


def recover(campaign_id: int) -> int:
    """Rows whose sender is gone: sending -> unconfirmed. They are shown, and never sent again by themselves."""
    return int(rows(_RECOVER, [campaign_id, shard()])[0][0])


_RELEASE = f"""
WITH held AS (
    SELECT r.id FROM email_recipients r WHERE r.campaign_id = %s AND r.state = 'sending' AND r.lease = %s
    ORDER BY r.id FOR UPDATE
), moved AS (
    UPDATE email_recipients r SET state = 'pending', lease = NULL, attempts = r.attempts - 1
    FROM held WHERE r.id = held.id
    RETURNING r.campaign_id, 'sending' AS before, r.state
), counted AS ({COUNT})
SELECT count(*) FROM moved
"""


def release(campaign_id: int, token: uuid.UUID) -> int:
    """Rows of a lease whose holder has settled all that it heard of: sending -> pending. Nobody was to send them."""
    return int(rows(_RELEASE, [campaign_id, token, shard()])[0][0])


_REVIVE = f"""
WITH due AS (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %s AND r.state = 'deferred' AND r.retry_at <= now()
    ORDER BY r.retry_at LIMIT %s FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE email_recipients r SET state = 'pending', retry_at = NULL FROM due WHERE r.id = due.id
    RETURNING r.id, r.campaign_id, 'deferred' AS before, r.state
), counted AS ({COUNT})
SELECT id FROM moved
"""


def revive(campaign_id: int, limit: int) -> list[int]:
    """Deferred recipients whose wait is over: deferred -> pending. Returns their ids."""
    return [row[0] for row in rows(_REVIVE, [campaign_id, limit, shard()])]
