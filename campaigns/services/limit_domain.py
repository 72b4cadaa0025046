"""limit_domain, edit_domain_limit, delete_domain_limit: how fast mail goes to the addresses of a domain."""

from django.db import IntegrityError, transaction

from campaigns import buckets
from campaigns.addresses import AddressError, parse_domain
from campaigns.errors import DomainLimitRefused
from campaigns.models import DomainLimit
from campaigns.services.chunk import wake_chunks
from queue_core.services import Actor, audit

RATE_MAX = 1_000_000_000
_DAY = 86_400


def limit_domain(*, domain: str, rate_count: int, rate_seconds: int = 60, by: Actor | None = None) -> DomainLimit:
    """At most `rate_count` mails in `rate_seconds` to the addresses of a domain, not to those of domains below it.

    Over all campaigns, transports and workers, also for what is under way. Raises DomainLimitRefused.
    """
    row = DomainLimit(domain=_domain(domain), rate_count=rate_count, rate_seconds=rate_seconds)
    _check(row)
    try:
        with transaction.atomic():
            row.save()
            message = f"Limited: {_words(row)}."
            audit.record(DomainLimit, [row.pk], message, by=by, flag=audit.ADDITION, name=row.domain)
    except IntegrityError:
        raise DomainLimitRefused({"domain": [f"There is a limit for {row.domain} already: change that."]}) from None
    row.refresh_from_db()
    return row


def edit_domain_limit(row: DomainLimit, *, by: Actor | None = None, **values: int) -> DomainLimit:
    """Change `rate_count` or `rate_seconds`. Raises DomainLimitRefused."""
    for name, value in values.items():
        setattr(row, name, value)
    _check(row)
    with transaction.atomic():
        row.save(update_fields=["rate_count", "rate_seconds"])
        wake_chunks()
        audit.record(DomainLimit, [row.pk], f"Limited: {_words(row)}.", by=by, name=row.domain)
    return row


def delete_domain_limit(row: DomainLimit, *, by: Actor | None = None) -> None:
    """Let mail go there as fast as anywhere."""
    with transaction.atomic():
        buckets.remove_for_domain(row.pk)
        DomainLimit.objects.filter(pk=row.pk).delete()
        wake_chunks()
        audit.record(DomainLimit, [row.pk], "Deleted.", by=by, flag=audit.DELETION, name=row.domain)


def _domain(raw: str) -> str:
    try:
        return parse_domain(raw)
    except AddressError:
        raise DomainLimitRefused({"domain": ["Write the domain of recipients, such as example.com."]}) from None


def _check(row: DomainLimit) -> None:
    errors = {}
    for name, most in (("rate_count", RATE_MAX), ("rate_seconds", _DAY)):
        if not 1 <= getattr(row, name) <= most:
            errors[name] = [f"Write a whole number from 1 to {most}."]
    if errors:
        raise DomainLimitRefused(errors)


def _words(row: DomainLimit) -> str:
    return f"{row.rate_count} in {row.rate_seconds} s"
