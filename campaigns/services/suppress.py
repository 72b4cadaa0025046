"""suppress, unsuppress: addresses that are never mailed, and mailed again."""

from campaigns.addresses import parse_address
from campaigns.models import Suppression
from campaigns.states import SuppressionReason


def suppress(
    email: str, *, reason: SuppressionReason | str = SuppressionReason.MANUAL, source: str = ""
) -> tuple[Suppression, bool]:
    """Never mail this address again; heard by the next group that is leased. Returns (entry, whether it is new).

    Safe to repeat: the first reason stays. Raises AddressError.
    """
    address = parse_address(email)
    entry, created = Suppression.objects.get_or_create(
        key=address.key, defaults={"email": address.email, "reason": reason, "source": source}
    )
    if created:
        entry.refresh_from_db()  # the database's own defaults
    return entry, created


def unsuppress(suppression: Suppression) -> None:
    """Campaigns may mail the address again; recipients that were skipped meanwhile stay so."""
    suppression.delete()
