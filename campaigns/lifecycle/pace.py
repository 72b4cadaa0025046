"""How fast a campaign is sent now: samples of its tallies, a few a minute, of which a few minutes are kept."""

import datetime

from campaigns.lifecycle.sql import rows

# Long enough for a slow limit, short enough that an edit of it, or a server that fails, is soon seen.
_KEPT_SECONDS = 180.0
_BETWEEN_SECONDS = 5.0

# Within the hours since a moment, so that it stays quick for a campaign that takes weeks.
_TRIED = """
(SELECT coalesce(sum(h.n), 0) FROM campaign_hours h
 WHERE h.campaign_id = %(campaign)s AND h.hour >= date_trunc('hour', {at}, 'UTC')
   AND h.kind IN ('sent', 'deferred', 'rejected'))
"""
# Whatever is too old goes only when there is a new one: the latest stays, for the time no worker is free for this.
_NOTE = f"""
WITH old AS (
    DELETE FROM campaign_samples
    WHERE campaign_id = %(campaign)s AND at < now() - make_interval(secs => %(kept)s)
)
INSERT INTO campaign_samples (campaign_id, at, tried)
SELECT %(campaign)s, now(), {_TRIED.format(at="now()")}
WHERE NOT EXISTS (
    SELECT 1 FROM campaign_samples
    WHERE campaign_id = %(campaign)s AND at > now() - make_interval(secs => %(between)s))
RETURNING id
"""
_PACE = f"""
SELECT extract(epoch FROM now() - s.at)::float8, {_TRIED.format(at="s.at")} - s.tried
FROM (SELECT at, tried FROM campaign_samples WHERE campaign_id = %(campaign)s ORDER BY at LIMIT 1) s
"""


def note_pace(campaign_id: int) -> None:
    """Keep how many mails were tried so far, unless that was just done; from the launch on, so that all count."""
    rows(_NOTE, {"campaign": campaign_id, "kept": _KEPT_SECONDS, "between": _BETWEEN_SECONDS})


def forget_pace(campaign_id: int) -> None:
    """It is not sending: neither a pause nor a server that takes no mail is part of its pace."""
    rows("DELETE FROM campaign_samples WHERE campaign_id = %s RETURNING id", [campaign_id])


def pace(campaign_id: int) -> float:
    """Mails a minute that were really tried in the last minutes; 0 while that is not known."""
    found = rows(_PACE, {"campaign": campaign_id})
    seconds, tried = found[0] if found else (0.0, 0)
    return float(tried) / seconds * 60 if seconds > 0 else 0.0


def next_tries(campaign_id: int) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    """When the first and the last of the deferred recipients are tried again."""
    sql = "SELECT min(retry_at), max(retry_at) FROM email_recipients WHERE campaign_id = %s AND state = 'deferred'"
    first, last = rows(sql, [campaign_id])[0]
    return first, last
