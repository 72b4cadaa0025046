"""Whether there is somebody to mail, and nobody else about to be added."""

from collections.abc import Iterator

from django.db import connection

from campaigns import lifecycle
from campaigns.models import Campaign
from campaigns.services.preflight.item import Item, block, ok
from campaigns.states import LIVE_IMPORT, RecipientState
from queue_core.services.outcome import plural

# Addresses can be suppressed after they were added: they stay pending until it is their turn.
_MAILABLE = """
SELECT EXISTS (
    SELECT 1 FROM email_recipients r WHERE r.campaign_id = %s AND r.state = 'pending'
    AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.key = r.key))
"""
_SHOWN = 5


def audience(campaign: Campaign) -> Iterator[Item]:
    counts = lifecycle.counts(campaign.pk)
    pending, suppressed = counts[RecipientState.PENDING], counts[RecipientState.SUPPRESSED]
    if not pending and not suppressed:
        yield block("audience", "There is no recipient to mail: import some first.")
    elif not _is_mailable(campaign):
        yield block("audience", "There is no recipient to mail: all are on the suppression list. Import others.")
    else:
        detail = f"Not mailed, for being on the suppression list: {suppressed}." if suppressed else ""
        yield ok("audience", f"{plural(pending, 'recipient')} to mail.", detail)


def _is_mailable(campaign: Campaign) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_MAILABLE, [campaign.pk])
        return bool(cursor.fetchone()[0])


def imports(campaign: Campaign) -> Iterator[Item]:
    live = campaign.imports.filter(state__in=LIVE_IMPORT).values_list("filename", flat=True)[:_SHOWN]
    for filename in live:
        yield block("imports", f"The import of “{filename}” is not over: wait for it, or cancel it.")
    if not live:
        yield ok("imports", "No import is under way.")
