"""Whether there is somebody to mail, and nobody else about to be added."""

from collections.abc import Iterator

from django.db import connection

from campaigns.models import Campaign
from campaigns.services.mailable import Mailable, mailable
from campaigns.services.preflight.item import AT_LAUNCH, Item, block, ok, warn
from campaigns.states import LIVE_IMPORT
from queue_core.services.outcome import plural
from queue_core.texts import grouped

_MAILABLE = """
SELECT EXISTS (
    SELECT 1 FROM email_recipients r WHERE campaign_id = %s AND state = 'pending'
    AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.key = r.key))
"""
_SHOWN = 5


def audience(campaign: Campaign, people: int | None = None) -> Iterator[Item]:
    now = mailable(campaign, people)
    if not now.to_mail and not now.suppressed:
        yield block("audience", "There is no recipient to mail: import some first.")
    elif now.found or (people is None and _is_anybody_mailable(campaign)):
        yield ok("audience", f"{now.words[0].upper()}{now.words[1:]} to mail.", _not_mailed(now))
    elif people is not None and not now.is_exact:
        yield warn("audience", f"The first {plural(people, 'recipient')} are on the suppression list.", AT_LAUNCH)
    else:
        yield block("audience", "There is no recipient to mail: all are on the suppression list. Import others.")


def _not_mailed(now: Mailable) -> str:
    told = f"Not mailed, for being on the suppression list: {grouped(now.suppressed)}." if now.suppressed else ""
    rest = "" if now.is_exact else f"Only the first {grouped(now.looked_at)} were looked up there."
    return f"{told} {rest}".strip()


def _is_anybody_mailable(campaign: Campaign) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_MAILABLE, [campaign.pk])
        return bool(cursor.fetchone()[0])


def imports(campaign: Campaign) -> Iterator[Item]:
    live = campaign.imports.filter(state__in=LIVE_IMPORT).values_list("filename", flat=True)[:_SHOWN]
    for filename in live:
        yield block("imports", f"The import of “{filename}” is not over: wait for it, or cancel it.")
    if not live:
        yield ok("imports", "No import is under way.")
