"""When the clocks of Berlin change next year: dates that never lie in the past."""

from datetime import date, timedelta

_YEAR = date.today().year + 1  # noqa: DTZ011 - a year is enough


def _last_sunday(month: int) -> date:
    last = date(_YEAR, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


# From 02:00 to 03:00 there is no such time in spring, and in autumn there are two of them.
SPRING = _last_sunday(3).isoformat()
AUTUMN = _last_sunday(10).isoformat()
# To people.
AUTUMN_IN_WORDS = f"{_last_sunday(10):%d %b %Y}"
