"""When schedules fire, held against a clock that is read minute by minute."""

import datetime
import os
import time
import zoneinfo
from datetime import timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queue_core.cron import ALIASES, Cron, Interval, zone_of, zones

UTC = datetime.UTC
BERLIN = zone_of("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def at(text: str, zone: zoneinfo.ZoneInfo = BERLIN) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zone)


def shown(expression: str, zone_name: str, start: str, count: int) -> list[str]:
    zone = zone_of(zone_name)
    times = Cron.parse(expression, zone).after(at(start, zone))
    return [f"{due.astimezone(zone):%d %H:%M:%S %z}" for due in islice(times, count)]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("0 0 1--100000000 * *", "day of month: '1--100000000'"),
        ("60 * * * *", "minute: '60' is not in 0-59"),
        ("* 24 * * *", "hour: '24' is not in 0-23"),
        ("* * 0 * *", "day of month: '0'"),
        ("* * * 13 *", "month: '13'"),
        ("* * * * 8", "day of week: '8'"),
        ("60 * * * * *", "second: '60'"),
        ("* * * * FRI-MON", "day of week: 'FRI-MON' runs backwards"),
        ("*/0 * * * *", "minute: '*/0' has a step of 0"),
        ("* * * FOO *", "month: 'FOO'"),
        ("* MON * * *", "hour: 'MON'"),
        ("1,,2 * * * *", "minute: ''"),
        ("1/2/3 * * * *", "minute: '1/2/3'"),
        ("[[1,2],[3]] * * * *", "minute: '[[1'"),
        ("\u0663 * * * *", "minute"),
        ("1_0 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("* * ? * *", "day of month"),
        ("* * * * MON#6", "day of week"),
        ("9" * 150 + " * * * *", "minute"),
        ("*" * 201, "201 characters"),
        ("1," * 10_000, "20000 characters"),
        ("* * * *", "has 4 fields"),
        ("* * * * * * *", "has 7 fields"),
        ("", "has 0 fields"),
        ("@reboot", "'@reboot' is not known"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 30,31 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("0 0 */29 2 MON#5", "never comes"),
    ],
)
def test_parse_says_what_to_correct(expression: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refused:
        Cron.parse(expression, BERLIN)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 250


def test_parse_refuses_a_hostile_expression_at_once() -> None:
    hostile = ["0 0 1--100000000 * *", "1-99999999999 * * * *", "(" * 10_000, "1," * 99 + " * * * *", "*/" * 90]
    started = time.perf_counter()
    for _ in range(100):
        for expression in hostile:
            with pytest.raises(ValueError, match=r"\.$"):
                Cron.parse(expression, BERLIN)
    assert (time.perf_counter() - started) / 500 < 0.000_5


@settings(max_examples=300, deadline=1000)
@given(st.text(st.sampled_from("0123456789*/,-#LW @?\x00\ud800aMONJAN\u0663"), max_size=40) | st.text(max_size=220))
def test_parse_reads_any_text_or_refuses_it(text: str) -> None:
    try:
        cron = Cron.parse(text, BERLIN)
    except ValueError:
        return
    first, second = islice(cron.after(at("2026-01-01")), 2)
    assert first < second
    assert cron.describe().endswith(" (Europe/Berlin)")


def test_parse_takes_names_aliases_and_either_case() -> None:
    for alias, expression in ALIASES.items():
        assert Cron.parse(f" {alias.upper()} ", BERLIN) == Cron.parse(expression, BERLIN)
    assert Cron.parse("0  9 * jan-Mar mon,FRI", BERLIN).fields == "0 9 * JAN-MAR MON,FRI"


@pytest.mark.parametrize(
    "name",
    ["", "Berlin", "../../etc/passwd", "Europe/Berlin\x00", "europe/berlin ", "/etc/localtime", "localtime", "Factory"],
)
def test_zone_of_knows_iana_zones_only(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(name)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("0 9 * * 1-5", "At 09:00 on Monday through Friday (UTC)"),
        ("*/5 * * * *", "Every fifth minute of every hour (UTC)"),
        ("0 0 21,22,23,31 * *", "At 00:00 on the 21st, the 22nd, the 23rd, and the 31st day of month (UTC)"),
        ("0 0 11 * *", "At 00:00 on the 11th day of every month (UTC)"),
        ("*/52 * * * *", "Every 52nd minute of every hour (UTC)"),
        ("30 0 0 * * *", "At 00:00:30 every day (UTC)"),
        ("@weekly", "At 00:00 on Sunday (UTC)"),
        ("*/2 */2 * * * *", "Every other second every second minute past every hour (UTC)"),
    ],
)
def test_describe_reads_like_a_sentence(expression: str, text: str) -> None:
    described = Cron.parse(expression, zone_of("UTC")).describe()
    assert described == text


def test_describe_says_an_interval_in_its_units() -> None:
    anchor = at("2026-01-01")
    texts = [Interval(seconds, anchor).describe() for seconds in (1, 60, 90, 300, 86_400, 180_003)]
    assert texts == [
        "Every second",
        "Every minute",
        "Every 1 minute 30 seconds",
        "Every 5 minutes",
        "Every day",
        "Every 2 days 2 hours 3 seconds",
    ]


def test_after_in_spring_moves_a_fixed_time_to_the_end_of_the_gap() -> None:
    for expression in ("30 2 * * *", "0 30 2 * * *", "0,15,30 2 * * *"):
        assert shown(expression, "Europe/Berlin", "2026-03-28 23:00", 2)[0] == "29 03:00:00 +0200"
        assert shown(expression, "Europe/Berlin", "2026-03-28 23:00", 2)[1].startswith("30 02:")
    # Its midnight does not exist.
    assert shown("0 0 * * *", "America/Havana", "2026-03-07 12:00", 2) == ["08 01:00:00 -0400", "09 00:00:00 -0400"]


def test_after_in_autumn_takes_a_fixed_time_once() -> None:
    for expression in ("30 2 * * *", "0 30 2 * * *"):
        assert shown(expression, "Europe/Berlin", "2026-10-24 12:00", 2) == ["25 02:30:00 +0200", "26 02:30:00 +0100"]
    # Asked in the second pass of the hour, the first one is over.
    second_pass = at("2026-10-25 02:10").replace(fold=1)
    assert next(Cron.parse("30 2 * * *", BERLIN).after(second_pass)) == at("2026-10-26 02:30")


def test_after_follows_the_running_clock_for_a_star() -> None:
    assert shown("*/30 * * * *", "Europe/Berlin", "2026-03-29 01:20", 3) == [
        "29 01:30:00 +0100",
        "29 03:00:00 +0200",
        "29 03:30:00 +0200",
    ]
    assert shown("0 * * * *", "Europe/Berlin", "2026-10-25 01:20", 3) == [
        "25 02:00:00 +0200",
        "25 02:00:00 +0100",
        "25 03:00:00 +0100",
    ]
    # Half an hour of daylight saving.
    assert shown("*/15 2 * * *", "Australia/Lord_Howe", "2026-10-04 01:00", 3) == [
        "04 02:30:00 +1100",
        "04 02:45:00 +1100",
        "05 02:00:00 +1100",
    ]


def changes_of(zone: zoneinfo.ZoneInfo) -> list[datetime.datetime]:
    """The days of 2026 and 2027 on which the zone's clock is changed."""
    days = [datetime.datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(730)]
    offsets = [day.astimezone(zone).utcoffset() for day in days]
    return [day for day, one, other in zip(days, offsets, offsets[1:], strict=False) if one != other]


CHANGES = [
    (name, change) for name in sorted(zones()) for change in changes_of(zone_of(name)) if not name.startswith("Etc/")
]
# (as text, as a set)
MINUTES = st.one_of(
    st.sampled_from([("*/20", {0, 20, 40}), ("*", set(range(60)))]),
    st.sets(st.integers(0, 59), min_size=1, max_size=3).map(lambda found: (",".join(map(str, sorted(found))), found)),
)
HOURS = st.one_of(
    st.sampled_from([("*", set(range(24))), ("*/2", set(range(0, 24, 2))), ("0-4", set(range(5)))]),
    st.sets(st.integers(0, 4), min_size=1, max_size=3).map(lambda found: (",".join(map(str, sorted(found))), found)),
)


def minute_by_minute(
    zone: zoneinfo.ZoneInfo, start: datetime.datetime, minutes: set[int], hours: set[int], fixed: bool
) -> list[datetime.datetime]:
    """What should fire in the three days after `start`: an offset and a wall clock read at each minute."""
    found, fired = set(), set()
    before = start.astimezone(zone)
    for n in range(1, 3 * 24 * 60 + 1):
        now = (start + n * MINUTE).astimezone(zone)
        wall = now.replace(tzinfo=None, fold=0)
        passed = [wall]
        if fixed:
            # All that the wall clock has shown, or jumped over, since the minute before, and never before.
            ahead = int((wall - before.replace(tzinfo=None, fold=0)) / MINUTE)
            passed = [wall - back * MINUTE for back in range(max(ahead, 1))]
        if any(time.minute in minutes and time.hour in hours and not (fixed and time in fired) for time in passed):
            found.add(start + n * MINUTE)
        fired.update(passed)
        before = now
    return sorted(found)


@settings(max_examples=250 * int(os.environ.get("PROPERTIES", "1")), deadline=None)
@given(st.sampled_from(CHANGES), MINUTES, HOURS, st.booleans())
def test_after_is_what_the_wall_clock_shows_across_a_change(
    change: tuple[str, datetime.datetime], minutes: tuple[str, set[int]], hours: tuple[str, set[int]], seconds: bool
) -> None:
    name, day = change
    zone, start = zone_of(name), day - timedelta(days=1)
    expression = f"{'0 ' if seconds else ''}{minutes[0]} {hours[0]} * * *"
    fixed = not minutes[0].startswith("*") and not hours[0].startswith("*")
    cron = Cron.parse(expression, zone)
    wanted = minute_by_minute(zone, start, minutes[1], hours[1], fixed)
    assert list(islice(cron.after(start), len(wanted))) == wanted
    # From each time on the rest is the same: what a scheduler sees that is restarted in between.
    if wanted:
        half = len(wanted) // 2
        rest = wanted[half + 1 :]
        assert list(islice(cron.after(wanted[half]), len(rest))) == rest
        assert next(cron.after(wanted[half] - timedelta(microseconds=1))) == wanted[half]


MOMENTS = st.integers(-(10**15), 10**15).map(
    lambda n: datetime.datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=n)
)


@given(st.integers(1, 10 * 366 * 86_400), MOMENTS, MOMENTS)
def test_after_leaves_no_interval_out_and_never_drifts(
    seconds: int, anchor: datetime.datetime, moment: datetime.datetime
) -> None:
    step = timedelta(seconds=seconds)
    times = list(islice(Interval(seconds, anchor).after(moment), 5))
    assert times[0] > moment
    assert times[0] == anchor or times[0] - step <= moment
    assert all(later - earlier == step for earlier, later in pairwise(times))
    assert (times[0] - anchor) % step == timedelta(0)
    assert times[0] >= anchor
