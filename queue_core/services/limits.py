"""Limits as people give them: what to run at once, what to start in a time."""

from typing import Any

from queue_core.errors import InvalidSubmission
from queue_core.policies import Rate, checked_room

# A limit that is not given stays as it is; None lifts it.
KEPT: Any = object()


def checked_limits(max_running: Any, rate: Any) -> dict[str, Any]:
    """The columns to write for what was given. Raises InvalidSubmission."""
    values: dict[str, Any] = {}
    if max_running is not KEPT:
        try:
            values["max_running"] = checked_room(max_running)
        except ValueError as exc:
            raise InvalidSubmission("max_running", str(exc)) from None
    if rate is not KEPT:
        try:
            parsed = None if rate is None else Rate.parse(rate)
        except ValueError as exc:
            raise InvalidSubmission("rate", str(exc)) from None
        values |= {"rate_count": parsed and parsed.count, "rate_seconds": parsed and parsed.seconds}
    return values
