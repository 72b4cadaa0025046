"""Wrong settings are said at the start, not when the first campaign is launched."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from campaigns import conf, mailer
from campaigns.addresses import AddressError, parse_address
from campaigns.bounces.mailbox import MailboxError, parse_url
from campaigns.message import BOUNCE_NAME_MAX
from campaigns.services.chunk import CONDUCT, DELIVER
from campaigns.services.import_file import FORGET_FILE
from campaigns.services.oversee import OVERSEE
from campaigns.services.read_bounces import READ_BOUNCES
from campaigns.services.start_import import IMPORT_FILE
from queue_core import registry

_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*|\[[0-9A-Fa-f.:IPv]{2,50}\]")


@register("campaigns")
def check_addresses(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """SMTP_URL, SMTP_EHLO and PUBLIC_URL can be used."""
    found: list[CheckMessage] = []
    try:
        mailer.transport()
    except ValueError as exc:
        found.append(Error(f"SMTP_URL cannot be used: {exc}", id="campaigns.E001"))
    if settings.SMTP_EHLO and not _HOST.fullmatch(settings.SMTP_EHLO):
        text = f"SMTP_EHLO must be the name of this host, such as app.example.com, not {settings.SMTP_EHLO[:80]!r}."
        found.append(Error(text, id="campaigns.E007"))
    public = urlsplit(settings.PUBLIC_URL)
    if public.scheme not in ("http", "https") or not public.netloc or not settings.PUBLIC_URL.isascii():
        found.append(
            Error(
                f"PUBLIC_URL must be an http(s) address in ASCII, not {settings.PUBLIC_URL!r}.",
                hint="It begins every unsubscribe link, for example https://mail.example.com",
                id="campaigns.E002",
            )
        )
    return found


@register("campaigns")
def check_bounces(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """BOUNCE_ADDRESS and BOUNCE_MAILBOX_URL can be used."""
    found: list[CheckMessage] = []
    try:
        if settings.BOUNCE_ADDRESS:
            _check_bounce_address(settings.BOUNCE_ADDRESS)
    except AddressError as exc:
        found.append(Error(f"BOUNCE_ADDRESS cannot be used: {exc.reason}.", id="campaigns.E005"))
    try:
        if settings.BOUNCE_MAILBOX_URL:
            parse_url(settings.BOUNCE_MAILBOX_URL)
    except MailboxError as exc:
        found.append(Error(f"BOUNCE_MAILBOX_URL cannot be used: {exc}", id="campaigns.E006"))
    return found


def _check_bounce_address(raw: str) -> None:
    """Raises AddressError."""
    name = parse_address(raw).email.rpartition("@")[0]
    if len(name) > BOUNCE_NAME_MAX:
        raise AddressError(
            f"its name has {len(name)} characters, and with a reference there is room for {BOUNCE_NAME_MAX}"
        )


@register("campaigns")
def check_knobs(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """CAMPAIGNS_* settings are known."""
    return [
        Error(f"{name} is not a setting of campaigns.", id="campaigns.E003")
        for name in dir(settings)
        if name.startswith("CAMPAIGNS_") and name.removeprefix("CAMPAIGNS_") not in conf.DEFAULTS
    ]


@register("campaigns")
def check_tasks(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Services submit by name, so that they need not import tasks: the names must be registered."""
    return [
        Error(f"The task {name!r} is not registered; it belongs in campaigns/tasks.py.", id="campaigns.E004")
        for name in (DELIVER, CONDUCT, OVERSEE, READ_BOUNCES, IMPORT_FILE, FORGET_FILE)
        if registry.find(name) is None
    ]
