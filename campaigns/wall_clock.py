"""Times as the clock on a wall somewhere shows them."""

import datetime
from zoneinfo import ZoneInfo, available_timezones

from campaigns.errors import ScheduleRefused

# In the zones' files, but no place's: one is whatever a host is set to, the other says that nothing was set.
_NO_PLACE = {"localtime", "Factory"}


def zones() -> set[str]:
    """The names of all time zones (IANA)."""
    return available_timezones() - _NO_PLACE


def zone_of(timezone: str) -> ZoneInfo:
    """Raises ScheduleRefused for a zone that does not exist."""
    if timezone not in zones():
        raise ScheduleRefused("timezone", f"There is no time zone “{timezone[:60]}”; write one such as Europe/Berlin.")
    return ZoneInfo(timezone)


def in_words(at: datetime.datetime, timezone: str) -> str:
    """`31 Oct 2027, 02:30 Europe/Berlin (00:30 UTC)`: as the clocks there show a moment, and what that is for all."""
    there, utc = at.astimezone(zone_of(timezone)), at.astimezone(datetime.UTC)
    text = f"{there.day} {there:%b %Y, %H:%M} {timezone}"
    if timezone == "UTC":
        return text
    return f"{text} ({utc:%H:%M} UTC)" if there.date() == utc.date() else f"{text} ({in_words(at, 'UTC')})"


def at_wall_clock(shown: datetime.datetime, timezone: str) -> datetime.datetime:
    """The moment at which the clocks of a time zone (IANA name) show a naive time; an aware one is taken as it is.

    Shown twice, on the night when clocks go back: the first of both. Raises ScheduleRefused for a time that the
    clocks leave out, and for a zone that does not exist.
    """
    if shown.tzinfo is not None:
        return shown
    zone = zone_of(timezone)
    try:
        moment = shown.replace(tzinfo=zone).astimezone(datetime.UTC)
        again = moment.astimezone(zone).replace(tzinfo=None, fold=0)
    except OverflowError:
        raise ScheduleRefused("at", "This time is too far away.") from None
    if again != shown.replace(fold=0):
        raise ScheduleRefused(
            "at", f"The clocks in {timezone} are put forward over {shown:%H:%M} that night: choose another time."
        )
    return moment
