"""Recipients as they come into a campaign."""

from campaigns.lifecycle.sql import COUNT, rows, shard

# Of an address the campaign has already: rows of the same import brought it in an earlier slice, or it was there.
_KNOWN = """
SELECT count(*) FROM incoming_recipients i JOIN email_recipients r ON r.campaign_id = %(campaign)s AND r.key = i.key
WHERE %(import)s::bigint IS NULL OR r.import_id IS DISTINCT FROM %(import)s
"""

_ADD = f"""
WITH added AS (
    INSERT INTO email_recipients (campaign_id, import_id, key, email, name, attributes, state, detail)
    SELECT %(campaign)s, %(import)s, n.key, n.email, n.name, n.attributes,
           CASE WHEN s.id IS NULL THEN 'pending' ELSE 'suppressed' END, coalesce(s.reason, '')
    FROM (SELECT DISTINCT ON (key) * FROM incoming_recipients ORDER BY key, line) n
    LEFT JOIN suppressions s ON s.key = n.key
    ORDER BY n.line
    ON CONFLICT (campaign_id, key) DO NOTHING
    RETURNING campaign_id, state
), moved AS (SELECT campaign_id, NULL::text AS before, state FROM added),
counted AS ({COUNT.replace("%s", "%(shard)s")})
SELECT ({_KNOWN}), count(*), count(*) FILTER (WHERE state = 'suppressed') FROM added
"""

_PREVIEW = f"""
SELECT ({_KNOWN}), count(DISTINCT i.key), count(DISTINCT s.key)
FROM incoming_recipients i LEFT JOIN suppressions s ON s.key = i.key
WHERE NOT EXISTS (SELECT 1 FROM email_recipients r WHERE r.campaign_id = %(campaign)s AND r.key = i.key)
"""


_COPY = f"""
WITH added AS (
    INSERT INTO email_recipients (campaign_id, key, email, name, attributes, state, detail)
    SELECT %(target)s, r.key, r.email, r.name, r.attributes,
           CASE WHEN s.id IS NULL THEN 'pending' ELSE 'suppressed' END, coalesce(s.reason, '')
    FROM email_recipients r LEFT JOIN suppressions s ON s.key = r.key
    WHERE r.campaign_id = %(source)s ORDER BY r.id
    ON CONFLICT (campaign_id, key) DO NOTHING
    RETURNING campaign_id, state
), moved AS (SELECT campaign_id, NULL::text AS before, state FROM added),
counted AS ({COUNT.replace("%s", "%(shard)s")})
SELECT count(*) FROM added
"""


def copy_audience(source: int, target: int) -> int:
    """The recipients of one campaign into another: pending, or suppressed as of now. How many."""
    return int(rows(_COPY, {"source": source, "target": target, "shard": shard()})[0][0])


_REWRITE = f"""
WITH held AS (
    SELECT r.id, r.state FROM email_recipients r
    WHERE r.id = %(id)s AND r.state IN ('pending', 'suppressed') FOR UPDATE
), rewritten AS (
    UPDATE email_recipients r SET key = %(key)s, email = %(email)s, name = %(name)s, attributes = %(attributes)s::jsonb,
        state = CASE WHEN s.id IS NULL THEN 'pending' ELSE 'suppressed' END, detail = coalesce(s.reason, '')
    FROM held LEFT JOIN suppressions s ON s.key = %(key)s WHERE r.id = held.id
    RETURNING r.campaign_id, held.state AS before, r.state
), moved AS (SELECT * FROM rewritten WHERE before <> state),
counted AS ({COUNT.replace("%s", "%(shard)s")})
SELECT count(*) FROM rewritten
"""

_REMOVE = f"""
WITH gone AS (DELETE FROM email_recipients WHERE id = %(id)s RETURNING campaign_id, state),
moved AS (SELECT campaign_id, state AS before, NULL::text AS state FROM gone),
counted AS ({COUNT.replace("%s", "%(shard)s")})
SELECT count(*) FROM gone
"""


def rewrite(recipient_id: int, *, key: str, email: str, name: str, attributes: str) -> bool:
    """Say anew who a recipient is who was not mailed yet: pending, or suppressed as of now. `attributes` is JSON."""
    values = {"id": recipient_id, "key": key, "email": email, "name": name, "attributes": attributes, "shard": shard()}
    return bool(rows(_REWRITE, values)[0][0])


def remove(recipient_id: int) -> bool:
    """Take a recipient of a draft out of the ledger."""
    return bool(rows(_REMOVE, {"id": recipient_id, "shard": shard()})[0][0])


def add_incoming(campaign_id: int, import_id: int | None) -> tuple[int, int, int]:
    """Merge the staging table `incoming_recipients`: new rows are pending, or suppressed.

    Returns (rows of addresses the campaign had before this import, new, suppressed). The first line of an address
    wins; addresses the campaign has already stay as they are.
    """
    return _numbers(_ADD, campaign_id, import_id)


def preview_incoming(campaign_id: int, import_id: int | None) -> tuple[int, int, int]:
    """What `add_incoming` would answer."""
    return _numbers(_PREVIEW, campaign_id, import_id)


def _numbers(sql: str, campaign_id: int, import_id: int | None) -> tuple[int, int, int]:
    known, new, suppressed = rows(sql, {"campaign": campaign_id, "import": import_id, "shard": shard()})[0]
    return int(known), int(new), int(suppressed)
