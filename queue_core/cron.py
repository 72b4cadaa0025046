"""When a schedule fires: cron expressions on the clock of a time zone, and intervals. No database."""

import datetime
import functools
import itertools
import re
import zoneinfo
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from cronsim import CronSim, CronSimError

MAX_LENGTH = 200
MAX_INTERVAL = 10 * 366 * 86_400
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SECOND = datetime.timedelta(seconds=1)
_WEEK_SECONDS = 7 * 86_400
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_TERM = re.compile(r"(?:\*|([0-9]{1,2}|[A-Z]{3})(?:-([0-9]{1,2}|[A-Z]{3}))?)(?:/([0-9]{1,2}))?")
_NTH_DAY = re.compile(r"(?:[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)#[1-5]|[0-7]L")
# cronsim writes 21th; 11th to 13th are right.
_ORDINAL = re.compile(r"\b([2-5])([123])th\b")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    special: re.Pattern[str] | None = None

    def check(self, text: str) -> None:
        """ValueError names the field and the term of it that cannot be read."""
        for term in text.split(","):
            if self.special is None or not self.special.fullmatch(term):
                self._check_term(term)

    def _check_term(self, term: str) -> None:
        match = _TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"{self.name}: {term[:20]!r} cannot be read; write such as *, 5, 1-5, */15 or 1,3.")
        first, last, step = match.groups()
        bounds = [self._number(value) for value in (first, last) if value]
        if bounds != sorted(bounds):
            raise ValueError(f"{self.name}: {term!r} runs backwards; write the smaller end first, or a list.")
        if step and int(step) == 0:
            raise ValueError(f"{self.name}: {term!r} has a step of 0; write 1 or more.")

    def _number(self, value: str) -> int:
        if value in self.names:
            return self.low + self.names.index(value)
        if not value.isdigit() or not self.low <= int(value) <= self.high:
            raise ValueError(f"{self.name}: {value!r} is not in {self.low}-{self.high}; correct it.")
        return int(value)


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, special=re.compile("LW?")),
    _Field("month", 1, 12, names=tuple(_MONTHS)),
    _Field("day of week", 0, 7, names=tuple(_DAYS), special=_NTH_DAY),
)


# In the zones' files, but no place's: one is whatever a host is set to, the other says that nothing was set.
_NO_PLACE = {"localtime", "Factory"}


@functools.cache
def zones() -> frozenset[str]:
    """The names of all time zones (IANA)."""
    return frozenset(zoneinfo.available_timezones() - _NO_PLACE)


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The zone of that name, or ValueError."""
    if name not in zones():
        raise ValueError(f"There is no time zone {name[:60]!r}; write one such as Europe/Berlin or UTC.")
    return zoneinfo.ZoneInfo(name)


def _read(expression: str) -> str:
    """The expression as cronsim takes it, or ValueError; what is not well formed never gets to a loop."""
    if len(expression) > MAX_LENGTH:
        raise ValueError(f"The expression has {len(expression)} characters; {MAX_LENGTH} are allowed.")
    parts = ALIASES.get(expression.strip().lower(), expression).upper().split()
    if len(parts) == 1 and parts[0].startswith("@"):
        raise ValueError(f"{parts[0].lower()[:20]!r} is not known; write one of {', '.join(ALIASES)}.")
    if len(parts) not in (5, 6):
        raise ValueError(
            f"The expression has {len(parts)} fields; write 5 (minute, hour, day of month, month, day of week) "
            "or 6 (with the second first)."
        )
    for field, part in zip(_FIELDS[-len(parts) :], parts, strict=True):
        field.check(part)
    return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression on the clock of a zone.

    What to do where the clock jumps is Debian cron's rule, for 5 and 6 fields alike. Fixed times (neither the minute
    nor the hour begins with a star) come once a day: one that is skipped comes when the gap ends, one that comes twice
    fires the first time only. With a star the clock is followed as it runs: nothing in the gap, both passes of the
    hour that comes twice.
    """

    fields: str
    zone: zoneinfo.ZoneInfo

    @classmethod
    def parse(cls, expression: str, zone: zoneinfo.ZoneInfo) -> "Cron":
        """Read an expression or one of ALIASES; ValueError says why it cannot be one, or that it never comes."""
        fields = _read(expression)
        try:
            due = next(CronSim(fields, datetime.datetime(2000, 1, 1)), None)  # noqa: DTZ001 - any zone
        except CronSimError:
            due = None
        if due is None:
            raise ValueError("This never comes: no month it names has such a day; correct the day or the month.")
        return cls(fields, zone)

    @property
    def is_fixed(self) -> bool:
        *_, minute, hour, _day, _month, _weekday = self.fields.split()
        return not minute.startswith("*") and not hour.startswith("*")

    def after(self, moment: datetime.datetime) -> Iterator[datetime.datetime]:
        """Fire times strictly after an aware moment, in UTC, ascending, without end."""
        moment = moment.astimezone(datetime.UTC)
        return self._fixed(moment) if self.is_fixed else self._running(moment)

    def describe(self) -> str:
        """`At 09:00 on Monday through Friday (Europe/Berlin)`"""
        text = CronSim(self.fields, datetime.datetime(2000, 1, 1)).explain()  # noqa: DTZ001 - any zone
        text = _ORDINAL.sub(_with_right_ending, text).replace("second second", "other second")
        return f"{text} ({self.zone.key})"

    def _fixed(self, moment: datetime.datetime) -> Iterator[datetime.datetime]:
        for wall in CronSim(self.fields, _wall(moment, self.zone)):
            due = _first_instant(wall, self.zone)
            if due > moment:
                yield due
                moment = due

    def _running(self, moment: datetime.datetime) -> Iterator[datetime.datetime]:
        start = moment.replace(microsecond=0) + _SECOND
        while True:
            # As long as the offset stays, the wall clock is a plain one.
            offset = _offset(self.zone, start)
            for wall in CronSim(self.fields, _wall(start, self.zone) - _SECOND):
                due = (wall - offset).replace(tzinfo=datetime.UTC)
                change = _next_jump(self.zone, start, due)
                if change is not None:
                    start = change
                    break
                yield due
                start = due


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many seconds of real time, counted from an anchor: never drifting, not minding any clock change."""

    seconds: int
    anchor: datetime.datetime

    @classmethod
    def of(cls, seconds: int | None, anchor: datetime.datetime) -> "Interval":
        """ValueError unless there are 1 second to ten years."""
        if seconds is None or not 1 <= seconds <= MAX_INTERVAL:
            raise ValueError(f"An interval has 1 to {MAX_INTERVAL} seconds; correct it.")
        return cls(seconds, anchor)

    def after(self, moment: datetime.datetime) -> Iterator[datetime.datetime]:
        """Fire times strictly after an aware moment, in UTC, ascending, without end; the first is the anchor."""
        step = datetime.timedelta(seconds=self.seconds)
        anchor = self.anchor.astimezone(datetime.UTC)
        return (anchor + count * step for count in itertools.count(max((moment - anchor) // step + 1, 0)))

    def describe(self) -> str:
        """`Every 5 minutes`, `Every 1 day 6 hours`"""
        rest, parts = self.seconds, []
        for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
            count, rest = divmod(rest, size)
            if count:
                parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
        every = " ".join(parts)
        return "Every " + (every.removeprefix("1 ") if len(parts) == 1 else every)


def _with_right_ending(match: re.Match[str]) -> str:
    return match[1] + {"1": "1st", "2": "2nd", "3": "3rd"}[match[2]]


def _wall(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    """What a clock of that zone shows, without the zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(zone: zoneinfo.ZoneInfo, moment: datetime.datetime) -> datetime.timedelta:
    return moment.astimezone(zone).utcoffset() or datetime.timedelta()


def _first_instant(wall: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    """When a clock of the zone shows that time for the first time; for one it skips, the end of the gap."""
    by_offset_before, by_offset_after = (
        wall.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1)
    )
    if by_offset_after < by_offset_before:
        return _next_jump(zone, by_offset_after, by_offset_before) or by_offset_before
    return by_offset_before


def _next_jump(zone: zoneinfo.ZoneInfo, start: datetime.datetime, end: datetime.datetime) -> datetime.datetime | None:
    """The first whole second in (start, end] at which the zone's offset is not that of `start` any more."""
    before, total = _offset(zone, start), int((end - start).total_seconds())

    def has_jumped(second: int) -> bool:
        return _offset(zone, start + second * _SECOND) != before

    # Weekly probes: no zone jumps there and back within a week.
    for low in range(0, total, _WEEK_SECONDS):
        high = min(low + _WEEK_SECONDS, total)
        if has_jumped(high):
            return start + bisect_left(range(total + 1), True, lo=low, hi=high, key=has_jumped) * _SECOND
    return None
