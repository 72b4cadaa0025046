"""edit_recipient, remove_recipient: the people of a draft, one at a time."""

from typing import Any

from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import RecipientRefused
from campaigns.intake import Refused, listed_rows
from campaigns.models import Campaign, Recipient
from campaigns.services.merge import lock_draft
from queue_core.services import Actor, audit


def edit_recipient(recipient: Recipient, *, by: Actor | None = None, **values: Any) -> Recipient:
    """Change `email`, `name` or `attributes` (all of them at once) of somebody in a draft.

    Raises WrongState after the launch, and RecipientRefused: then nothing has changed.
    """
    with transaction.atomic():
        campaign = lock_draft(recipient.campaign_id)
        now = Recipient.objects.get(pk=recipient.pk)
        known = {"email": now.email, "name": now.name, "attributes": now.attributes}
        (row,) = listed_rows([{**known, **values}])
        if row is None or isinstance(row, Refused):
            raise RecipientRefused(_guilty(values), f"This cannot be: {row.reason}." if row else "")
        others = Recipient.objects.filter(campaign=campaign, key=row.key).exclude(pk=now.pk)
        if row.key != now.key and others.exists():
            raise RecipientRefused("email", f"{row.email} is in this campaign already.")
        changed = [name for name in values if values[name] != known[name]]
        if changed:
            _, key, email, name, attributes = row
            lifecycle.rewrite(now.pk, key=key, email=email, name=name, attributes=attributes)
            _record(now, campaign, f"Changed {', '.join(changed)}.", by)
    recipient.refresh_from_db()
    return recipient


def _guilty(values: dict[str, Any]) -> str:
    return next((name for name in ("email", "attributes", "name") if name in values), "email")


def remove_recipient(recipient: Recipient, *, by: Actor | None = None) -> None:
    """Take somebody out of a draft. Raises WrongState after the launch."""
    with transaction.atomic():
        campaign = lock_draft(recipient.campaign_id)
        if lifecycle.remove(recipient.pk):
            _record(recipient, campaign, "Removed.", by, flag=audit.DELETION)


def _record(recipient: Recipient, campaign: Campaign, message: str, by: Actor | None, **flag: int) -> None:
    """About the recipient, not the campaign: that history is read also by who may see nobody in it."""
    name = f"{recipient.email} in {campaign.name}"
    audit.record(Recipient, [recipient.pk], message, by=by, name=name, **flag)
