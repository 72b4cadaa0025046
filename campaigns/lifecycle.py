"""The only writer of campaign and recipient states: guarded statements that return what moved.

Every move of recipients also moves the counts of its campaign, in the same statement, so a status is read without
counting. A recipient in flight is held by the lease of the chunk task that sends it.
"""

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from campaigns.models import Campaign
from campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState, RecipientState

_SHARDS = 16


@dataclass(frozen=True, slots=True)
class Leased:
    """A recipient in the hands of a sender."""

    id: int
    key: str
    email: str
    name: str
    attributes: str  # JSON text
    attempts: int


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


def _rows(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _shard() -> int:
    return os.getpid() % _SHARDS


# `moved` must have (campaign_id, before, state). Rows are written in order, so that two processes never deadlock.
_COUNT = """
INSERT INTO campaign_counts (campaign_id, state, shard, n)
SELECT campaign_id, state, %s, sum(n) FROM (
    SELECT campaign_id, before AS state, -1 AS n FROM moved WHERE before IS NOT NULL
    UNION ALL SELECT campaign_id, state, 1 FROM moved
) change GROUP BY campaign_id, state HAVING sum(n) <> 0 ORDER BY campaign_id, state
ON CONFLICT (campaign_id, state, shard) DO UPDATE SET n = campaign_counts.n + excluded.n
"""


def move_campaign(verb: str, campaign_id: int, **values: Any) -> bool:
    """One guarded update by CAMPAIGN_TRANSITIONS; False when the campaign was in none of the verb's states."""
    moves = CAMPAIGN_TRANSITIONS[verb]
    (target,) = {state for targets in moves.values() for state in targets}
    return bool(Campaign.objects.filter(pk=campaign_id, state__in=list(moves)).update(state=target, **values))


_COMPLETE = """
UPDATE campaigns c SET state = 'completed', finished_at = now(), trouble = ''
WHERE c.id = %s AND c.state = 'sending' AND NOT EXISTS (
    SELECT 1 FROM email_recipients r WHERE r.campaign_id = c.id AND r.state IN ('pending', 'sending', 'deferred'))
RETURNING c.id
"""


def complete(campaign_id: int) -> bool:
    """sending -> completed, once no recipient is open any more."""
    return bool(_rows(_COMPLETE, [campaign_id]))


def note_trouble(campaign_id: int, text: str) -> None:
    """Say why sending does not advance ("" when it does again)."""
    Campaign.objects.filter(pk=campaign_id).exclude(trouble=text).update(trouble=text)


# Leasing looks at the campaign (paused?), at the task (is this attempt still the owner?) and at the suppression list
# (also of those who unsubscribed after the launch) in the very statement that marks the rows.
_LEASE = f"""
WITH picked AS MATERIALIZED (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %s AND r.state = 'pending' AND r.id > %s AND r.id <= %s
      AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = r.campaign_id AND c.state = 'sending')
      AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = %s AND t.state = 'running' AND t.lease = %s)
    ORDER BY r.id LIMIT %s FOR UPDATE OF r SKIP LOCKED
), moved AS (
    UPDATE email_recipients r SET
        state = CASE WHEN s.id IS NULL THEN 'sending' ELSE 'suppressed' END,
        detail = coalesce(s.reason, ''),
        lease = CASE WHEN s.id IS NULL THEN %s::uuid END,
        attempts = r.attempts + (s.id IS NULL)::int
    FROM picked JOIN email_recipients own ON own.id = picked.id LEFT JOIN suppressions s ON s.key = own.key
    WHERE r.id = picked.id
    RETURNING r.id, r.campaign_id, r.key, r.email, r.name, r.attributes, r.attempts, r.state, 'pending' AS before
), counted AS ({_COUNT})
SELECT id, key, email, name, attributes::text, attempts, state FROM moved ORDER BY id
"""


def lease(
    campaign_id: int, *, after: int, last: int, task_id: int, token: uuid.UUID, limit: int
) -> tuple[list[Leased], int | None]:
    """Take up to `limit` pending recipients with `after` < id <= `last`: pending -> sending (or suppressed).

    Returns those to mail and the highest id looked at; None when the range is over, the campaign is not sending any
    more, or the task's attempt lost its lease.
    """
    rows = _rows(_LEASE, [campaign_id, after, last, task_id, token, limit, token, _shard()])
    if not rows:
        return [], None
    return [Leased(*row[:6]) for row in rows if row[6] == RecipientState.SENDING], rows[-1][0]


# An outcome is written by the lease that sent the mail. A row that was given up as unconfirmed in the meantime still
# takes a final one: then it is known after all. It is never opened again, for its campaign may be over.
_SETTLE = f"""
WITH o AS (
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::text[], %s::float8[], %s::bool[])
    AS o(id, state, code, detail, delay, tried)
), held AS (
    SELECT r.id, r.state FROM email_recipients r JOIN o ON o.id = r.id
    WHERE r.lease = %s
      AND (r.state = 'sending' OR r.state = 'unconfirmed' AND o.state IN ('sent', 'rejected', 'bounced'))
    ORDER BY r.id FOR UPDATE OF r
), moved AS (
    UPDATE email_recipients r SET
        state = o.state, code = o.code, detail = o.detail,
        attempts = r.attempts - (NOT o.tried)::int,
        sent_at = CASE WHEN o.state = 'sent' THEN now() END,
        retry_at = CASE WHEN o.state = 'deferred' THEN now() + make_interval(secs => o.delay) END,
        lease = CASE WHEN o.state = 'unconfirmed' THEN r.lease END
    FROM held JOIN o ON o.id = held.id WHERE r.id = held.id
    RETURNING r.id, r.campaign_id, held.state AS before, r.state
), counted AS ({_COUNT})
SELECT count(*) FROM moved
"""


def settle(token: uuid.UUID, settled: Sequence[Settled]) -> int:
    """Write outcomes of recipients this lease holds: sending -> sent, deferred, rejected … Returns how many it held."""
    if not settled:
        return 0
    rows = _rows(
        _SETTLE,
        [
            [s.id for s in settled],
            [str(s.state) for s in settled],
            [s.code for s in settled],
            [s.detail for s in settled],
            [s.delay for s in settled],
            [s.tried and s.state != RecipientState.PENDING for s in settled],
            token,
            _shard(),
        ],
    )
    return int(rows[0][0])


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
), counted AS ({_COUNT})
SELECT count(*) FROM moved
"""


def recover(campaign_id: int) -> int:
    """Rows whose sender is gone: sending -> unconfirmed. They are shown, and never sent again by themselves."""
    return int(_rows(_RECOVER, [campaign_id, _shard()])[0][0])


_REVIVE = f"""
WITH due AS (
    SELECT r.id FROM email_recipients r
    WHERE r.campaign_id = %s AND r.state = 'deferred' AND r.retry_at <= now()
    ORDER BY r.retry_at LIMIT %s FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE email_recipients r SET state = 'pending', retry_at = NULL FROM due WHERE r.id = due.id
    RETURNING r.id, r.campaign_id, 'deferred' AS before, r.state
), counted AS ({_COUNT})
SELECT id FROM moved
"""


def revive(campaign_id: int, limit: int) -> list[int]:
    """Deferred recipients whose wait is over: deferred -> pending. Returns their ids."""
    return [row[0] for row in _rows(_REVIVE, [campaign_id, limit, _shard()])]


_ADD = f"""
WITH added AS (
    INSERT INTO email_recipients (campaign_id, key, email, name, attributes, state, detail)
    SELECT %s, n.key, n.email, n.name, n.attributes,
           CASE WHEN s.id IS NULL THEN 'pending' ELSE 'suppressed' END, coalesce(s.reason, '')
    FROM (SELECT DISTINCT ON (key) * FROM incoming_recipients ORDER BY key, line) n
    LEFT JOIN suppressions s ON s.key = n.key
    ORDER BY n.line
    ON CONFLICT (campaign_id, key) DO NOTHING
    RETURNING campaign_id, state
), moved AS (SELECT campaign_id, NULL::text AS before, state FROM added),
counted AS ({_COUNT})
SELECT count(*), count(*) FILTER (WHERE state = 'suppressed') FROM added
"""


def add_incoming(campaign_id: int) -> tuple[int, int]:
    """Merge the staging table `incoming_recipients`: new rows are pending, or suppressed. Returns (new, suppressed).

    The first line of an address wins; addresses the campaign has already stay as they are.
    """
    new, suppressed = _rows(_ADD, [campaign_id, _shard()])[0]
    return int(new), int(suppressed)


def counts(campaign_id: int) -> dict[str, int]:
    """Recipients per state, from the running counts."""
    found = dict(
        _rows("SELECT state, sum(n)::bigint FROM campaign_counts WHERE campaign_id = %s GROUP BY state", [campaign_id])
    )
    return {state.value: int(found.get(state.value, 0)) for state in RecipientState}


def is_sending(campaign_id: int) -> bool:
    return Campaign.objects.filter(pk=campaign_id, state=CampaignState.SENDING).exists()


def is_under_way(campaign_id: int) -> bool:
    """Whether it is launched and may still mail somebody."""
    return Campaign.objects.filter(pk=campaign_id, state__in=(CampaignState.SENDING, CampaignState.PAUSED)).exists()
