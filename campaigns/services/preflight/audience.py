"""Whether there is somebody to mail, and nobody else about to be added."""

from collections.abc import Iterator

from django.db import connection

from campaigns import lifecycle
from campaigns.models import Campaign
from campaigns.services.lacking import FIRST
from campaigns.services.preflight.item import AT_LAUNCH, Item, block, ok, warn
from campaigns.states import LIVE_IMPORT, RecipientState
from queue_core.services.outcome import plural
from queue_core.texts import grouped

# Addresses can be suppressed after they were added: they stay pending until it is their turn.
_MAILABLE = """
SELECT EXISTS (
    SELECT 1 FROM (
        SELECT key FROM email_recipients WHERE campaign_id = %s AND state = 'pending' {}) r
    WHERE NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.key = r.key))
"""
_SHOWN = 5


def audience(campaign: Campaign, people: int | None = None) -> Iterator[Item]:
    counts = lifecycle.counts(campaign.pk)
    pending, suppressed = counts[RecipientState.PENDING], counts[RecipientState.SUPPRESSED]
    if not pending and not suppressed:
        yield block("audience", "There is no recipient to mail: import some first.")
    elif _is_mailable(campaign, people):
        detail = f"Not mailed, for being on the suppression list: {grouped(suppressed)}." if suppressed else ""
        yield ok("audience", f"{plural(pending, 'recipient')} to mail.", detail)
    elif people is not None and pending > people:
        yield warn("audience", f"The first {plural(people, 'recipient')} are on the suppression list.", AT_LAUNCH)
    else:
        yield block("audience", "There is no recipient to mail: all are on the suppression list. Import others.")


def _is_mailable(campaign: Campaign, people: int | None) -> bool:
    some = [] if people is None else [people]
    with connection.cursor() as cursor:
        cursor.execute(_MAILABLE.format(FIRST if some else ""), [campaign.pk, *some])
        return bool(cursor.fetchone()[0])


def imports(campaign: Campaign) -> Iterator[Item]:
    live = campaign.imports.filter(state__in=LIVE_IMPORT).values_list("filename", flat=True)[:_SHOWN]
    for filename in live:
        yield block("imports", f"The import of “{filename}” is not over: wait for it, or cancel it.")
    if not live:
        yield ok("imports", "No import is under way.")
