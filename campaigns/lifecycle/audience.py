"""Recipients as they come into a campaign."""

from campaigns.lifecycle.sql import COUNT, rows, shard

_ADD = f"""
WITH added AS (
    INSERT INTO email_recipients (campaign_id, key, email, name, attributes, state, detail)
    SELECT %s, n.key, n.email, n.name, n.attributes,
           CASE WHEN s.id IS NULL THEN 'pending' ELSE 'suppressed' END, coalesce(s.reason, '')
    FROM (SELECT DISTINCT ON (key) * FROM incoming_recipients ORDER BY key, line) n
    LEFT JOIN suppressions s ON s.key = n.key
    ORDER BY n.line
    ON CONFLICT (campaign_id, key) DO NOTHING
    RETURNING campaign_id, state
), moved AS (SELECT campaign_id, NULL::text AS before, state FROM added),
counted AS ({COUNT})
SELECT count(*), count(*) FILTER (WHERE state = 'suppressed') FROM added
"""


def add_incoming(campaign_id: int) -> tuple[int, int]:
    """Merge the staging table `incoming_recipients`: new rows are pending, or suppressed. Returns (new, suppressed).

    The first line of an address wins; addresses the campaign has already stay as they are.
    """
    new, suppressed = rows(_ADD, [campaign_id, shard()])[0]
    return int(new), int(suppressed)
