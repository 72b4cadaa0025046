"""Whether there is a way out for the mails, and how long they would take."""

from collections.abc import Iterator

from django.conf import settings
from django.utils import timezone

from campaigns import breaker, conf, lifecycle, mailer
from campaigns.models import Campaign, MailTransport
from campaigns.services.preflight.item import Item, block, ok, warn
from campaigns.states import CampaignState, RecipientState
from campaigns.wall_clock import in_words

_MINUTES_PER_DAY = 1_440


def transport(campaign: Campaign) -> Iterator[Item]:
    try:
        routes = mailer.routes(campaign.transport_id)
    except ValueError as exc:
        yield block("transport", f"SMTP_URL cannot be used: {exc}")
        return
    usable = [route for route in routes if not route.problem]
    if not routes:
        yield block("transport", _none_enabled(campaign))
    elif not usable:
        yield block("transport", routes[0].problem)
    elif usable[0].key == mailer.SETTING_KEY and settings.SMTP_IS_CATCHER:
        yield warn(
            "transport", "Mails go to the mail catcher, nobody else gets them: set SMTP_URL, or add a transport."
        )
    else:
        yield ok("transport", f"Mails leave by {usable[0].name}.")
    yield from _breakers([route.key for route in usable])


def _none_enabled(campaign: Campaign) -> str:
    if campaign.transport is None:
        return "No transport is enabled: enable one, or add one."
    return f"The transport “{campaign.transport}” is switched off: enable it, or choose another one."


def _breakers(keys: list[str]) -> Iterator[Item]:
    broken = breaker.troubles(keys)
    if keys and len(broken) == len(keys):
        yield warn("breaker", breaker.words(broken[keys[0]]), "A launched campaign would wait for it.")


def planned(campaign: Campaign) -> Iterator[Item]:
    """Of a draft that was given a time."""
    at = campaign.scheduled_at
    if at is None or campaign.state != CampaignState.DRAFT:
        yield ok("schedule", "Sending begins with the launch.")
        return
    when = in_words(at, campaign.timezone)
    if at <= timezone.now():
        yield warn("schedule", f"It was planned for {when}, which has passed: a launch is now.")
    else:
        yield ok("schedule", f"It is planned for {when}.", "Scheduling it sets that time; in the admin, Launch is now.")


def duration(campaign: Campaign) -> Iterator[Item]:
    rate = _per_minute(campaign)
    if rate is None:
        return
    pending = lifecycle.counts(campaign.pk)[RecipientState.PENDING]
    days = pending / rate / _MINUTES_PER_DAY
    if days > conf.get("SLOW_DAYS"):
        yield warn("duration", f"At {rate:.3g} mails a minute this takes about {days:.0f} days: raise the limit.")
    else:
        yield ok("duration", f"At {rate:.3g} mails a minute this takes {_length(pending / rate)}.")


def _per_minute(campaign: Campaign) -> float | None:
    """Mails a minute, by the limits of the campaign and of the transport that is used first; None without any."""
    enabled = MailTransport.objects.filter(enabled=True).order_by("priority", "pk")
    chosen = campaign.transport or enabled.first()
    limits = [float(campaign.rate_per_minute)] if campaign.rate_per_minute else []
    if chosen and chosen.rate_count and chosen.rate_seconds:
        limits.append(chosen.rate_count / chosen.rate_seconds * 60)
    return min(limits, default=None)


def _length(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return f"about {minutes:.0f} minutes" if minutes < 120 else f"about {minutes / 60:.0f} hours"
