"""Where mail leaves: the connections of this process to its transports, kept open between chunks."""

from functools import cache

from django.conf import settings

from campaigns.mailer.backend import REFERENCE, Backend, BackendSender, is_backend, writes_files
from campaigns.mailer.crew import Crew, Report, Work
from campaigns.mailer.pool import Pool, Sender
from campaigns.mailer.route import SECRET, Route, route_of
from campaigns.mailer.signing import signers_of
from campaigns.models import MailTransport
from campaigns.smtp import Session, Transport
from campaigns.smtp.connection import Connection, Refused

__all__ = [
    "REFERENCE",
    "SECRET",
    "Backend",
    "Crew",
    "Report",
    "Route",
    "Sender",
    "Work",
    "check",
    "close",
    "hire",
    "is_backend",
    "route_of",
    "routes",
    "signers_of",
    "transport",
    "writes_files",
]

SETTING_KEY = "smtp-url"


def _sender(to: Transport | Backend) -> Sender:
    return Session(to) if isinstance(to, Transport) else BackendSender(to)


_pool: Pool[Transport | Backend] = Pool(_sender)


@cache
def transport() -> Transport:
    """The SMTP server of the setting SMTP_URL; ValueError says what is wrong with it."""
    return Transport.from_url(settings.SMTP_URL, ehlo=settings.SMTP_EHLO)


def routes(chosen: int | None = None) -> list[Route]:
    """The ways out, the preferred one first: the chosen transport alone, else the enabled ones by priority.

    While there is no row at all, the setting SMTP_URL is the one way. Empty: all transports are switched off.
    """
    rows = MailTransport.objects.order_by("priority", "pk")
    if chosen is not None:
        return [route_of(row) for row in rows.filter(pk=chosen, enabled=True)]
    found = list(rows)
    if not found:
        return [Route(SETTING_KEY, "SMTP_URL", transport())]
    return [route_of(row) for row in found if row.enabled]


def hire(route: Route) -> Crew:
    """Senders for a route, as many at once as it has connections."""
    to = route.transport
    return Crew(
        to.connections,
        # A backend is somebody else's code: it waits as it likes.
        threads=1 if isinstance(to, Transport) else to.connections,
        borrow=lambda: _pool.borrow(to),
        give_back=lambda sender: _pool.give_back(to, sender),
    )


def check(route: Route) -> tuple[bool, list[str]]:
    """Connect and log in, mail nothing. (whether it works, what the server offers or the exact error)."""
    if route.problem:
        return False, [route.problem]
    if isinstance(route.transport, Transport):
        try:
            connection = Connection(route.transport)
        except Refused as refused:
            said = refused.outcome
            return False, [f"{said.stage.upper()}: {said.code or ''} {said.enhanced} {said.text}".replace("  ", " ")]
        connection.quit()
        return True, [f"{name} {value}".strip() for name, value in connection.extensions.items() if name]
    sender = BackendSender(route.transport)
    try:
        sender.open()
    except Exception as error:
        return False, [f"{type(error).__name__}: {error}"]
    sender.close()
    return True, []


def close() -> None:
    """Hang up all connections that are idle."""
    _pool.close()
