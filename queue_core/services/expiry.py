"""expiry: submissions that would expire before they could begin."""

import datetime
from collections.abc import Sequence

from queue_core.errors import InvalidSubmission
from queue_core.lifecycle import NewTask
from queue_core.services.clock import transaction_time


def expiry_faults(rows: Sequence[NewTask]) -> dict[int, str]:
    """{place in rows: why its `expires_at` cannot be}; asks for the time once, and only when one of them has any."""
    expiring = {place: row for place, row in enumerate(rows) if row.expires_at is not None}
    if not expiring:
        return {}
    now = transaction_time()
    found = {place: _fault(row, now) for place, row in expiring.items()}
    return {place: fault for place, fault in found.items() if fault}


def _fault(row: NewTask, now: datetime.datetime) -> str:
    due = row.run_at or now + datetime.timedelta(seconds=row.delay)
    if row.expires_at <= now:
        return f"has passed, it is {now:%Y-%m-%d %H:%M:%S} UTC: give a later time, or none"
    if row.expires_at <= due:
        return f"is not after the time it may begin, {due:%Y-%m-%d %H:%M:%S %Z}: it could never run"
    return ""


def check_expiry(rows: Sequence[NewTask]) -> None:
    """Raise InvalidSubmission for the first of the rows that would expire before it could begin."""
    for place, fault in expiry_faults(rows).items():
        raise InvalidSubmission("expires_at", fault if len(rows) == 1 else f"{fault} (task {place} of these)")
