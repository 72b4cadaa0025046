"""Where mail leaves: the connection of this thread to the transport, kept open between chunks."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from django.conf import settings

from campaigns.smtp import Envelope, Outcome, Session, Transport

# Servers close idle connections after minutes; a fresh one costs a few round trips, so an old one is not tried.
_IDLE_SECONDS = 20.0

_local = threading.local()


@cache
def transport() -> Transport:
    """The SMTP server of the setting SMTP_URL; ValueError says what is wrong with it."""
    return Transport.from_url(settings.SMTP_URL)


def close() -> None:
    """Hang up this thread's connection, if it has one."""
    session: Session | None = _local.__dict__.pop("session", None)
    if session is not None:
        session.close()


def _session() -> Session:
    if hasattr(_local, "session") and time.monotonic() - _local.used_at > _IDLE_SECONDS:
        close()
    if not hasattr(_local, "session"):
        _local.session = Session(transport())
    session: Session = _local.session
    return session


def deliver(envelopes: Iterable[Envelope], should_stop: Callable[[], bool]) -> Iterator[tuple[int, Outcome]]:
    """Send messages one after the other; (key, outcome) of each as soon as it is known, in order."""
    session = _session()
    try:
        yield from session.deliver(envelopes, should_stop=should_stop)
    finally:
        _local.used_at = time.monotonic()
