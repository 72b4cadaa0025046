"""Rates of campaigns and transports, exact over all workers: token buckets in PostgreSQL, whose clock fills them.

The rates themselves are read with every take, so that an edit is heard at the next one. A bucket holds what a few
seconds bring; what a killed worker had taken is lost, so that a rate is rather missed than exceeded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction

# How much a bucket holds: enough for a chunk that comes back after its nap, and no flood after a quiet hour.
_SECONDS_HELD = 5.0

_RATES = """
SELECT 'campaign-' || id AS key, rate_per_minute / 60.0::float8 FROM campaigns
WHERE id = %s AND rate_per_minute IS NOT NULL
UNION ALL
SELECT 'transport-' || id, rate_count / rate_seconds::float8 FROM mail_transports
WHERE 'transport-' || id = %s AND rate_count IS NOT NULL
ORDER BY key
"""
_OPEN = """
INSERT INTO mail_buckets (key, tokens, refilled_at)
SELECT key, 1, clock_timestamp() FROM unnest(%s::text[]) AS key ON CONFLICT (key) DO NOTHING
"""
_LOCK = "SELECT key FROM mail_buckets WHERE key = ANY(%s) ORDER BY key FOR UPDATE"
# In a statement of its own: one that waited for the lock inside would fill by a clock from before it.
_FILL = """
UPDATE mail_buckets b SET refilled_at = clock.at, tokens = least(
    greatest(1, rate * %s), b.tokens + rate * greatest(0, extract(epoch FROM clock.at - b.refilled_at)::float8))
FROM unnest(%s::text[], %s::float8[]) AS r(key, rate), (SELECT clock_timestamp() AS at) AS clock
WHERE b.key = r.key RETURNING b.tokens, r.rate
"""
_CHANGE = "UPDATE mail_buckets SET tokens = tokens + %s WHERE key = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Grant:
    """How many mails may leave. `wait`: seconds until the next may, when there are none; `keys`: of the buckets."""

    n: int
    wait: float = 0.0
    keys: Sequence[str] = ()


def take(campaign_id: int, transport_key: str, wanted: int) -> Grant:
    """Up to `wanted` mails of a campaign by a transport, within the rates of both."""
    with connection.cursor() as cursor:
        cursor.execute(_RATES, [campaign_id, transport_key])
        rates = dict(cursor.fetchall())
    if not rates:
        return Grant(wanted)
    keys = list(rates)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_OPEN, [keys])
        cursor.execute(_LOCK, [keys])
        cursor.execute(_FILL, [_SECONDS_HELD, keys, list(rates.values())])
        filled = cursor.fetchall()
        n = min(wanted, *(int(tokens) for tokens, _ in filled))
        if n < 1:
            return Grant(0, max((1 - tokens) / rate for tokens, rate in filled), keys)
        cursor.execute(_CHANGE, [-n, keys])
    return Grant(n, keys=keys)


def give_back(grant: Grant, n: int) -> None:
    """Mails of a grant that nobody was there for."""
    if grant.keys and n:
        with connection.cursor() as cursor:
            cursor.execute(_CHANGE, [n, list(grant.keys)])
