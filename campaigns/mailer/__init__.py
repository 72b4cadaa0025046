"""Where mail leaves: the connections of this process to its transports, kept open between chunks."""

from functools import cache

from django.conf import settings

from campaigns.mailer.crew import Crew, Report, Work
from campaigns.mailer.pool import Pool, Sender
from campaigns.smtp import Session, Transport

__all__ = ["Crew", "Report", "Sender", "Work", "close", "hire", "transport"]

_pool: Pool[Transport] = Pool(Session)


@cache
def transport() -> Transport:
    """The SMTP server of the setting SMTP_URL; ValueError says what is wrong with it."""
    return Transport.from_url(settings.SMTP_URL)


def hire(lanes: int) -> Crew:
    """Up to `lanes` connections that send at once."""
    to = transport()
    return Crew(lanes, borrow=lambda: _pool.borrow(to), give_back=lambda sender: _pool.give_back(to, sender))


def close() -> None:
    """Hang up all connections that are idle."""
    _pool.close()
