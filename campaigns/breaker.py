"""The circuit breaker of each transport, in PostgreSQL, so that all workers see one: the only writer of MailBreaker.

Closed: used. Open: nobody tries until its time is over. Then one chunk at a time is let through, and what becomes of
it closes the breaker or opens it for longer.
"""

import datetime
from dataclasses import dataclass

from django.db import connection

from campaigns import conf
from campaigns.models import MailBreaker

# A chunk that tries, and is killed, must not keep everybody out.
_PROBE_SECONDS = 60.0

_STATE = """
SELECT open_until IS NOT NULL, greatest(0, extract(epoch FROM greatest(open_until, probe_until) - now()))::float8
FROM mail_breakers WHERE key = %s
"""
_PROBE = """
UPDATE mail_breakers SET probe_until = now() + make_interval(secs => %s)
WHERE key = %s AND open_until <= now() AND (probe_until IS NULL OR probe_until <= now()) RETURNING key
"""
_TRIP = """
INSERT INTO mail_breakers AS b (key, failures, reason) VALUES (%(key)s, 1, %(reason)s)
ON CONFLICT (key) DO UPDATE SET
    failures = b.failures + 1, reason = excluded.reason, changed_at = now(), probe_until = NULL,
    open_until = CASE WHEN b.failures + 1 >= %(limit)s THEN now() + make_interval(secs => (%(waits)s::float8[])[
        least(b.failures + 2 - %(limit)s, cardinality(%(waits)s::float8[]))]) END
WHERE b.open_until IS NULL OR b.open_until <= now()
"""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a chunk may use the transport now; if not, in how many seconds one may try."""

    is_open_to_us: bool
    is_probe: bool = False
    wait: float = 0.0


def admit(key: str) -> Gate:
    """Ask before using a transport. A probe must be followed by `trip` or `recover`."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [key])
        is_open, wait = cursor.fetchone() or (False, 0.0)
        if not is_open:
            return Gate(True)
        cursor.execute(_PROBE, [_PROBE_SECONDS, key])
        if cursor.fetchone():
            return Gate(True, is_probe=True)
    return Gate(False, wait=max(1.0, wait))


def trip(key: str, reason: str) -> None:
    """The transport refused us. While it is open, further refusals of chunks begun before count for nothing."""
    limit, waits = conf.get("BREAKER_FAILURES"), conf.get("BREAKER_SECONDS")
    with connection.cursor() as cursor:
        cursor.execute(_TRIP, {"key": key, "reason": reason, "limit": limit, "waits": list(waits)})


def recover(key: str) -> bool:
    """The transport took a message, or a person says it will: closed, and forgotten. Whether it was not so before."""
    found = MailBreaker.objects.filter(key=key, failures__gt=0)
    return bool(found.update(failures=0, reason="", open_until=None, probe_until=None))


def troubles(keys: list[str]) -> dict[str, MailBreaker]:
    """The breakers of those that refused us the last time."""
    return {found.key: found for found in MailBreaker.objects.filter(key__in=keys, failures__gt=0)}


def words(found: MailBreaker) -> str:
    """Why, and until when, in plain words."""
    times = "once" if found.failures == 1 else f"{found.failures} times in a row"
    text = f"The mail server does not take our mail ({times}): {found.reason}"
    if found.open_until is None:
        return text
    at = found.open_until.astimezone(datetime.UTC)
    return f"{text} Next try at {at:%H:%M:%S} UTC."
