"""The circuit breaker of each transport, in PostgreSQL, so that all workers see one: the only writer of MailBreaker.

Closed: used. Open: nobody tries until its time is over. Then one chunk at a time is let through, and what becomes of
it closes the breaker or opens it for longer.

Beside it stands what the transport took lately: whoever is refused while others are taken is so by their own domain.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models.functions import Now

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
WHERE (b.open_until IS NULL OR b.open_until <= now())
    AND (%(is_sure)s OR b.open_until IS NOT NULL OR b.taken_at IS NULL
         OR b.taken_at < now() - make_interval(secs => %(recent)s))
"""
# A transport that takes mail of some is not gone because others found no way in: it has a limit of connections.
_RECENT_SECONDS = 10.0
_TOOK = """
INSERT INTO mail_breakers AS b (key, failures, reason, taken_at, taken_domain, others_taken_at)
VALUES (%(key)s, 0, '', now(), %(domain)s, CASE WHEN %(others)s THEN now() END)
ON CONFLICT (key) DO UPDATE SET
    failures = 0, reason = '', open_until = NULL, probe_until = NULL, taken_at = now(), taken_domain = %(domain)s,
    others_taken_at = CASE WHEN %(others)s THEN now() WHEN b.taken_domain <> %(domain)s THEN b.taken_at
                           ELSE b.others_taken_at END
WHERE b.failures > 0 OR b.taken_at IS NULL OR b.taken_at < now() - interval '1 second'
    OR (%(others)s OR b.taken_domain <> %(domain)s)
        AND (b.others_taken_at IS NULL OR b.others_taken_at < now() - interval '1 second')
"""
# What was taken so long ago says nothing of now.
_LATELY = datetime.timedelta(hours=1)
_JUST_BEFORE = datetime.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a chunk may use the transport now; if not, in how many seconds one may try."""

    is_open_to_us: bool
    is_probe: bool = False
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a transport. `is_suspect`: it refused us, and took nothing since.

    `taken`: domains that it took mail for lately; those that tell whether there are two.
    """

    is_suspect: bool
    taken: Sequence[str]

    def takes_others(self, domain: str) -> bool:
        """Whether mail for other domains than this one was taken lately, and we were not refused since."""
        return not self.is_suspect and any(taken != domain for taken in self.taken)


def admit(key: str) -> Gate:
    """Ask before using a transport. A probe must be followed by `trip`, `recover`, `took` or `release`."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [key])
        is_open, wait = cursor.fetchone() or (False, 0.0)
        if not is_open:
            return Gate(True)
        cursor.execute(_PROBE, [_PROBE_SECONDS, key])
        if cursor.fetchone():
            return Gate(True, is_probe=True)
    return Gate(False, wait=max(1.0, wait))


def release(key: str) -> None:
    """A probe has not found out anything: the next one may try."""
    MailBreaker.objects.filter(key=key, probe_until__isnull=False).update(probe_until=None)


def took(key: str, domains: Sequence[str]) -> None:
    """The transport took mail for these domains, the latest last: closed, and on record for a while."""
    others = any(domain != domains[-1] for domain in domains)
    with connection.cursor() as cursor:
        cursor.execute(_TOOK, {"key": key, "domain": domains[-1], "others": others})


def standing(key: str, taken: Sequence[str]) -> Standing:
    """What refusals of some recipients are to be held against; `taken` is not told by `took` yet."""
    found = MailBreaker.objects.filter(key=key).annotate(since=Now() - _LATELY).first()
    if found is None:
        return Standing(False, taken)
    lately = [*taken]
    if found.taken_at and found.taken_at > found.since:
        lately.append(found.taken_domain)
    if found.others_taken_at and found.others_taken_at > found.since:
        lately.append(f"not {found.taken_domain}")
    return Standing(found.failures > 0, lately)


def trip(key: str, reason: str, *, is_sure: bool = True) -> None:
    """The transport refused us. While it is open, further refusals of chunks begun before count for nothing.

    Not `is_sure`: nor does this one, where others are taken within these seconds.
    """
    limit, waits = conf.get("BREAKER_FAILURES"), conf.get("BREAKER_SECONDS")
    refused = {"key": key, "reason": reason, "is_sure": is_sure, "recent": _RECENT_SECONDS, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_TRIP, refused | {"waits": list(waits)})


def recover(key: str) -> bool:
    """The transport talks to us again, or a person says it will: closed. Whether it was not so before."""
    found = MailBreaker.objects.filter(key=key, failures__gt=0)
    return bool(found.update(failures=0, reason="", open_until=None, probe_until=None))


def troubles(keys: list[str]) -> dict[str, MailBreaker]:
    """The breakers of those that refused us the last time; which of them are open says `open_until`."""
    return {found.key: found for found in MailBreaker.objects.filter(key__in=keys, failures__gt=0)}


def is_out(found: MailBreaker) -> bool:
    """Whether nothing is sent by it now; one that took mail just before it refused some may only want none of those."""
    if found.open_until is not None or found.taken_at is None:
        return found.failures > 0
    return found.failures > 0 and found.changed_at - found.taken_at > _JUST_BEFORE


def words(found: MailBreaker) -> str:
    """Why, and until when, in plain words."""
    times = "once" if found.failures == 1 else f"{found.failures} times in a row"
    text = f"The mail server does not take our mail ({times}): {found.reason}"
    if found.open_until is None:
        return text
    at = found.open_until.astimezone(datetime.UTC)
    return f"{text} Next try at {at:%H:%M:%S} UTC."
