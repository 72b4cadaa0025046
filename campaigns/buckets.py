"""Rates of campaigns, transports and recipient domains: token buckets in PostgreSQL, exact over all workers.

A sender reads the rates twice a second, so that an edit is heard. A bucket holds what a few seconds bring; what a
killed worker had taken is lost, so that a rate is rather missed than exceeded.
"""

from collections.abc import Mapping, Sequence
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
WHERE b.key = r.key RETURNING b.key, b.tokens
"""
# Locked in the order of `_LOCK`: an UPDATE of several rows takes them as it finds them.
_CHANGE = """
WITH held AS (SELECT key FROM mail_buckets WHERE key = ANY(%s) ORDER BY key FOR UPDATE)
UPDATE mail_buckets b SET tokens = b.tokens + c.n FROM unnest(%s::text[], %s::int[]) AS c(key, n)
WHERE b.key = c.key AND b.key = ANY(ARRAY(SELECT key FROM held))
"""
_DOMAINS = "SELECT domain, 'domain-' || id, rate_count / rate_seconds::float8 FROM domain_limits"


@dataclass(frozen=True, slots=True)
class Grant:
    """How many mails may leave. `wait`: seconds until the next may, when there are none; `keys`: of the buckets."""

    n: int
    wait: float = 0.0
    keys: Sequence[str] = ()


def rates_of(campaign_id: int, transport_key: str) -> dict[str, float]:
    """Mails per second that a campaign and a transport are held to, by bucket; one without a rate is left out."""
    with connection.cursor() as cursor:
        cursor.execute(_RATES, [campaign_id, transport_key])
        return dict(cursor.fetchall())


def take(rates: Mapping[str, float], wanted: int) -> Grant:
    """Up to `wanted` mails, within all these rates."""
    if not rates:
        return Grant(wanted)
    with transaction.atomic():
        tokens = _filled(rates)
        n = min(wanted, *map(int, tokens.values()))
        if n < 1:
            return Grant(0, max((1 - tokens[key]) / rate for key, rate in rates.items()), list(rates))
        _change(dict.fromkeys(rates, -n))
    return Grant(n, keys=list(rates))


def give_back(grant: Grant, n: int) -> None:
    """Mails of a grant that nobody was there for."""
    _change(dict.fromkeys(grant.keys, n))


@dataclass(frozen=True, slots=True)
class DomainRate:
    """What may go to a domain: `key` of its bucket, mails per second."""

    key: str
    rate: float


def domain_rates() -> dict[str, DomainRate]:
    """By domain; those without a limit are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_DOMAINS)
        return {domain: DomainRate(key, rate) for domain, key, rate in cursor.fetchall()}


def take_for_domains(rates: Mapping[str, DomainRate], wanted: Mapping[str, int]) -> tuple[dict[str, int], float]:
    """Up to so many mails for each domain of `wanted`; the seconds until one may leave for the first that got none."""
    with transaction.atomic():
        tokens = _filled({rates[domain].key: rates[domain].rate for domain in wanted})
        granted = {domain: max(0, min(n, int(tokens[rates[domain].key]))) for domain, n in wanted.items()}
        _change({rates[domain].key: -n for domain, n in granted.items()})
    waits = [(1 - tokens[rates[domain].key]) / rates[domain].rate for domain, n in granted.items() if not n]
    return granted, min(waits, default=0.0)


def give_back_for_domains(rates: Mapping[str, DomainRate], left: Mapping[str, int]) -> None:
    """Mails of `take_for_domains` that nobody was there for."""
    _change({rates[domain].key: n for domain, n in left.items()})


def remove_for_domain(limit_id: int) -> None:
    """With its limit goes the bucket."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM mail_buckets WHERE key = %s", [f"domain-{limit_id}"])


def _filled(rates: Mapping[str, float]) -> dict[str, float]:
    """The tokens in these buckets now; locked until the transaction ends, always in the same order."""
    keys = list(rates)
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [keys])
        cursor.execute(_LOCK, [keys])
        cursor.execute(_FILL, [_SECONDS_HELD, keys, list(rates.values())])
        return dict(cursor.fetchall())


def _change(by: Mapping[str, int]) -> None:
    changes = {key: n for key, n in by.items() if n}
    if changes:
        with connection.cursor() as cursor:
            cursor.execute(_CHANGE, [list(changes), list(changes), list(changes.values())])
