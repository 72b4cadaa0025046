"""suppress, unsuppress: addresses that are never mailed, and mailed again."""

from typing import Any

from django.db import transaction

from campaigns.addresses import parse_address
from campaigns.models import Recipient, Suppression
from campaigns.states import SuppressionReason
from queue_core.services import Actor, audit

_BY_PERSONS = (SuppressionReason.UNSUBSCRIBED, SuppressionReason.COMPLAINED)


def suppress(
    email: str,
    *,
    reason: SuppressionReason | str = SuppressionReason.MANUAL,
    source: str = "",
    by: Actor | None = None,
) -> tuple[Suppression, bool]:
    """Never mail this address again; heard by the next group that is leased. Returns (entry, whether it is new).

    Safe to repeat: the first reason stays. Raises AddressError.
    """
    address = parse_address(email)
    with transaction.atomic():
        entry, created = Suppression.objects.get_or_create(
            key=address.key, defaults={"email": address.email, "reason": reason, "source": source}
        )
        if created:
            entry.refresh_from_db()  # the database's own defaults
            audit.record(Suppression, [entry.pk], "Suppressed 1 address.", by=by, flag=audit.ADDITION, name=entry.email)
    return entry, created


def keep_off(recipient: Recipient, reason: SuppressionReason, source: str) -> bool:
    """Put the address of a recipient on the list, for what became of a mail to it; whether it is new there.

    The first reason stays, except that the word of a person (unsubscribed, complained) stands above a bounce, which
    somebody may have good reason to take off the list.
    """
    told: dict[str, Any] = {"reason": reason, "source": source, "campaign_id": recipient.campaign_id}
    entry, created = Suppression.objects.get_or_create(key=recipient.key, defaults={"email": recipient.email, **told})
    if not created and reason in _BY_PERSONS:
        Suppression.objects.filter(pk=entry.pk, reason=SuppressionReason.BOUNCED).update(**told)
    return created


def unsuppress(suppression: Suppression, *, by: Actor | None = None) -> None:
    """Campaigns may mail the address again; recipients that were skipped meanwhile stay so."""
    with transaction.atomic():
        gone, _ = Suppression.objects.filter(pk=suppression.pk).delete()
        if gone:
            message = "Took 1 address off the list."
            audit.record(Suppression, [suppression.pk], message, by=by, flag=audit.DELETION, name=suppression.email)
