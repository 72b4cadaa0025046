"""import_suppressions: a list of addresses that shall never be mailed, staged by COPY and merged by one statement."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

from django.db import connection, transaction

from campaigns.intake import Accepted, Options, Refused, find_columns, open_source, read_rows
from campaigns.models import Suppression
from campaigns.services.report import Report, how_read
from campaigns.states import SuppressionReason
from queue_core.services import Actor, audit
from queue_core.services.outcome import plural

KEPT_REJECTED_ROWS = 100_000
SOURCE_MAX = 200
_PROGRESS_EVERY = 5_000
_WORD_MAX, _WORDS_MAX, _NOTES_MAX = 40, 1_000, 5

_STAGING = """
CREATE TEMPORARY TABLE incoming_suppressions (line int, key text, email text, reason text, source text) ON COMMIT DROP
"""
_COPY = "COPY incoming_suppressions (line, key, email, reason, source) FROM STDIN"
_TELL_APART = """
SELECT (SELECT count(*) FROM incoming_suppressions i WHERE EXISTS (SELECT 1 FROM suppressions s WHERE s.key = i.key)),
       (SELECT count(DISTINCT key) FROM incoming_suppressions i
        WHERE NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.key = i.key))
"""
# In the order of the keys, so that two imports at once wait for each other and never deadlock.
_ADD = """
INSERT INTO suppressions (key, email, reason, source, created_at)
SELECT DISTINCT ON (key) key, email, reason, source, now() FROM incoming_suppressions ORDER BY key, line
ON CONFLICT (key) DO NOTHING
"""


def import_suppressions(  # noqa: PLR0913 - a file, how it shall be read, and what its addresses are
    raw: BinaryIO,
    *,
    options: Options | None = None,
    reason: SuppressionReason | str = SuppressionReason.MANUAL,
    source: str = "",
    dry_run: bool = False,
    by: Actor | None = None,
    progress: Callable[[int], None] = lambda records: None,
) -> Report:
    """Put the addresses of a file (CSV and its kin, XLSX) on the list: all of them or nothing.

    `reason` and `source` hold for rows whose own columns of that name say nothing. Addresses on the list already stay
    as they are; nothing takes one off. Where a row says why in a word of another tool, that is kept in its source: the
    address is on the list all the same. Raises ImportRefused.
    """
    report, strange = Report(), Counter[str]()
    with open_source(raw, options or Options()) as found, transaction.atomic(), connection.cursor() as cursor:
        columns, lines = find_columns(found, options or Options())
        # The attributes of people, in an export of a campaign, say nothing about why they are on the list.
        columns = replace(columns, packed=None)
        cursor.execute(_STAGING)
        with cursor.copy(_COPY) as copy:
            for row in read_rows(columns, lines):
                entry = _entry(row, report, (str(reason), source), strange)
                if entry is not None:
                    copy.write_row(entry)
                if report.records % _PROGRESS_EVERY == 0:
                    progress(report.records)
        cursor.execute(_TELL_APART)
        report.existing, report.created = cursor.fetchone()
        report.duplicates = report.records - report.invalid - report.existing - report.created
        report.found = how_read(found, columns)
        report.found["notes"] += _notes(strange, str(reason))
        if not dry_run and report.created:
            cursor.execute(_ADD)
            # Another import may have put some of them on the list since they were counted.
            report.existing += report.created - cursor.rowcount
            report.created = cursor.rowcount
            message = f"Imported {plural(report.created, 'address', 'addresses')}."
            audit.record(Suppression, [], message, by=by, flag=audit.ADDITION, name="a file")
        cursor.execute("DROP TABLE incoming_suppressions")
    progress(report.records)
    return report


def _entry(
    row: Accepted | Refused | None, report: Report, default: tuple[str, str], strange: Counter[str]
) -> tuple[Any, ...] | None:
    """Count a row; what is staged of it, if anything. `default`: reason and source of a row that says none."""
    if row is None:
        report.blank += 1
        return None
    report.records += 1
    if isinstance(row, Refused):
        report.invalid += 1
        if len(report.rejected) < KEPT_REJECTED_ROWS:
            report.rejected.append(row)
        return None
    given = json.loads(row.attributes) if len(row.attributes) > len("{}") else {}
    reason, source = default
    word, source = given.get("reason", reason), given.get("source", source)
    if word.lower() in SuppressionReason.values:
        reason = word.lower()
    else:
        short = word[:_WORD_MAX]
        if short in strange or len(strange) < _WORDS_MAX:
            strange[short] += 1
        source = f"{source} ({word})" if source else word
    return row.line, row.key, row.email, reason, source[:SOURCE_MAX]


def _notes(strange: Counter[str], reason: str) -> list[str]:
    """What was made of reasons that are none of ours."""
    made = f"is none of {', '.join(SuppressionReason.values)}: listed as {reason}, with that word as source."
    return [f"The reason “{word}” ({plural(count, 'row')}) {made}" for word, count in strange.most_common(_NOTES_MAX)]
