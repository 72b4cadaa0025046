from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import ImportOver
from campaigns.models import Campaign, RecipientImport
from campaigns.services.import_file import forget_later
from queue_core.services import Actor, audit


def cancel_import(recipient_import: RecipientImport, *, by: Actor | None = None) -> RecipientImport:
    """Any state before its end -> cancelled: no further row is imported; those imported so far stay.

    Raises ImportOver.
    """
    with transaction.atomic():
        if not lifecycle.move_import("cancel", recipient_import.pk):
            recipient_import.refresh_from_db()
            raise ImportOver(recipient_import.filename, recipient_import.state)
        forget_later(recipient_import.pk)
        message = f"Cancelled the import of {recipient_import.filename[-100:]}."
        campaign = recipient_import.campaign
        audit.record(Campaign, [campaign.pk], message, by=by, name=campaign.name)
    recipient_import.refresh_from_db()
    return recipient_import
