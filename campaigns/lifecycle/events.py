"""What happens to a mail after it was handed over."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from campaigns.lifecycle.sql import COUNT, TALLY, rows, shard
from campaigns.states import EventKind
from queue_core.texts import shorten


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that became known about the mail to a recipient.

    `code`: a reply of SMTP. `detail`: the text of it, or what was clicked, and then `link` is the id of its row. `at`:
    None is now. `source_id`: what its source calls it, such as "ses:4711"; a source that tells twice is heard once.
    """

    recipient: int
    kind: EventKind
    code: int | None = None
    detail: str = ""
    at: datetime.datetime | None = None
    source_id: str | None = None
    link: int | None = None


_DETAIL_MAX = 2_000
# As long as an index takes.
_SOURCE_ID_MAX = 600

_ADD = """
ON CONFLICT (link_id, shard) DO UPDATE SET
    clicks = tracked_link_counts.clicks + excluded.clicks, people = tracked_link_counts.people + excluded.people
"""
_CLICK = f"INSERT INTO tracked_link_counts (link_id, shard, clicks, people) VALUES (%s, %s, 1, 0) {_ADD} RETURNING 1"

# A bounce takes back what the ledger said; other events leave the recipient as it is.
_RECORD = f"""
WITH e AS (
    SELECT * FROM unnest(
        %s::bigint[], %s::text[], %s::int[], %s::text[], %s::timestamptz[], %s::text[], %s::bigint[]
    ) WITH ORDINALITY AS e(recipient_id, kind, code, detail, at, source_id, link_id, place)
), written AS (
    INSERT INTO campaign_events (campaign_id, recipient_id, kind, at, code, detail, source_id, link_id)
    SELECT r.campaign_id, r.id, e.kind, least(e.at, now()), e.code, e.detail, e.source_id, e.link_id
    FROM e JOIN email_recipients r ON r.id = e.recipient_id ORDER BY e.place
    ON CONFLICT (source_id) WHERE source_id IS NOT NULL DO NOTHING
    RETURNING id, campaign_id, recipient_id, kind, at, code, detail, link_id
), clicks AS (
    SELECT w.link_id, w.recipient_id, NOT EXISTS (
        SELECT 1 FROM campaign_events earlier
        WHERE earlier.recipient_id = w.recipient_id AND earlier.link_id = w.link_id) AS is_first
    FROM written w WHERE w.link_id IS NOT NULL
), clicked AS (
    INSERT INTO tracked_link_counts (link_id, shard, clicks, people)
    SELECT link_id, %s, count(*), count(DISTINCT recipient_id) FILTER (WHERE is_first)
    FROM clicks GROUP BY link_id ORDER BY link_id
    {_ADD}
), bounces AS (
    SELECT DISTINCT ON (recipient_id) recipient_id, code, detail FROM written
    WHERE kind = 'bounced' ORDER BY recipient_id, id
), held AS (
    SELECT r.id, r.state FROM email_recipients r JOIN bounces b ON b.recipient_id = r.id
    WHERE r.state IN ('sent', 'unconfirmed') ORDER BY r.id FOR UPDATE OF r
), moved AS (
    UPDATE email_recipients r SET state = 'bounced', code = b.code, detail = b.detail, lease = NULL
    FROM held JOIN bounces b ON b.recipient_id = held.id WHERE r.id = held.id
    RETURNING r.campaign_id, held.state AS before, r.state
), counted AS ({COUNT}), happened AS (SELECT campaign_id, kind, at FROM written), tallied AS ({TALLY})
SELECT count(*) FROM written
"""


def record_events(events: Sequence[Happened]) -> int:
    """Keep what happened; a bounce also moves its recipient: sent, unconfirmed -> bounced. Clicks of links are counted.

    Those of recipients that are gone, and those recorded before by their `source_id`, are left out. Returns how many
    are new. Suppressing an address is the caller's. A time that lies ahead counts as now. Texts may be anything: what
    PostgreSQL cannot store is written out as its escape.
    """
    if not events:
        return 0
    columns = [
        [e.recipient for e in events],
        [str(e.kind) for e in events],
        [e.code for e in events],
        [shorten(e.detail, _DETAIL_MAX) for e in events],
        [e.at for e in events],
        [e.source_id and shorten(e.source_id, _SOURCE_ID_MAX) for e in events],
        [e.link for e in events],
    ]
    return int(rows(_RECORD, [*columns, shard(), shard(), shard()])[0][0])


def count_click(link_id: int) -> None:
    """Somebody clicked again on a link: that is counted, and no event."""
    rows(_CLICK, [link_id, shard()])
