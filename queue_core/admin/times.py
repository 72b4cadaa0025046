"""Times as people read them."""

import datetime
from itertools import pairwise

from django.utils import timezone
from django.utils.formats import date_format

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def moment(time: datetime.datetime | None) -> str:
    """`23 Nov 2026, 19:18:05` in the current time zone; a dash when there is none."""
    return date_format(timezone.localtime(time), "j M Y, H:i:s") if time else "–"  # noqa: RUF001 - a dash it is


def ago(length: datetime.timedelta) -> str:
    """`just now`, `34 s ago`."""
    return f"{span(length)} ago" if length.total_seconds() >= 2 else "just now"


def span(length: datetime.timedelta | None) -> str:
    """`12 ms`, `3.4 s`, `2 min 5 s`, `3 h 20 min`; a dash when there is none."""
    if length is None:
        return "–"  # noqa: RUF001
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    (unit, size), (smaller, part) = next(pair for pair in pairwise(_UNITS) if seconds >= pair[0][1])
    rest = int(seconds % size // part)
    return f"{int(seconds // size)} {unit}" + (f" {rest} {smaller}" if rest else "")
