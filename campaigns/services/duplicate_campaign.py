from django.db import transaction

from campaigns import lifecycle
from campaigns.errors import ImportRefused
from campaigns.models import Campaign
from queue_core.services import Actor, audit
from queue_core.services.outcome import plural
from queue_core.texts import grouped

# As many as are copied while somebody waits.
COPIED_MAX = 200_000
_COPIED = (
    "template_id",
    "from_email",
    "reply_to",
    "context",
    "transport_id",
    "rate_per_minute",
    "unconfirmed",
    "late_minutes",
    "timezone",
    "track_opens",
    "track_clicks",
)


def duplicate_campaign(
    campaign: Campaign, *, name: str = "", recipients: bool = False, by: Actor | None = None
) -> Campaign:
    """A new draft that says the same, with the template's current version; with `recipients` to the same people.

    Nothing of what became of them is taken over: all are pending, or suppressed as the list says now. Raises
    ImportRefused for more than COPIED_MAX recipients; then nothing was made.
    """
    people = sum(lifecycle.counts(campaign.pk).values())
    if recipients and people > COPIED_MAX:
        raise ImportRefused(
            f"The campaign has {grouped(people)} recipients; up to {grouped(COPIED_MAX)} are copied at once. "
            "Duplicate it without them, then import its export."
        )
    with transaction.atomic():
        values = {field: getattr(campaign, field) for field in _COPIED}
        made = Campaign.objects.create(name=name or f"Copy of {campaign.name}"[:200], **values)
        copied = lifecycle.copy_audience(campaign.pk, made.pk) if recipients else 0
        message = f"Duplicated “{campaign.name[:100]}” with {plural(copied, 'recipient')}."
        audit.record(Campaign, [made.pk], message, by=by, flag=audit.ADDITION, name=made.name)
    made.refresh_from_db()  # the database's own defaults
    return made
