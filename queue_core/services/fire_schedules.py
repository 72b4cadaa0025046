"""fire_schedules: submit what schedules are due for. Any number of hosts may do so at once."""

import datetime
import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice, takewhile

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from queue_core.models import Schedule, ScheduleFire
from queue_core.services.runs import Run, busy, forget_old, run_of, write_new
from queue_core.states import FireOutcome, Missed, Overlap

CATCH_UP_MAX = 100
# What fires within a minute is merely late: a tick takes its time, a scheduler restarts.
ON_TIME = datetime.timedelta(seconds=60)
_COUNTED = 1000
_SECOND = datetime.timedelta(seconds=1)
# bulk_update would take twice as long as all the rest of a slice.
_MOVE_ON = """
UPDATE schedules s
SET next_fire_at = new.next_fire_at, last_fire_at = new.last_fire_at, last_task_id = new.last_task_id,
    paused = new.paused
FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::boolean[])
     AS new(id, next_fire_at, last_fire_at, last_task_id, paused)
WHERE s.id = new.id
"""


def fire_schedules(limit: int = 100) -> int:
    """Fire up to `limit` due schedules in one transaction; answers how many there were.

    A schedule another host is firing is skipped, and a time that is on record already submits nothing. One that
    cannot be submitted any more records that and holds up none of the others.
    """
    with transaction.atomic():
        schedules = list(_due()[:limit])
        if not schedules:
            return 0
        live, waiting = busy(schedules), _waiting(schedules)
        runs: list[Run] = []
        for schedule in schedules:
            has_waiting = schedule.pk in waiting
            runs += _without_overlap(_plan(schedule), schedule.pk in live or has_waiting, has_waiting)
        write_new(runs)
        forget_old(schedules)
        _move_on(schedules)
    return len(schedules)


def _move_on(schedules: list[Schedule]) -> None:
    with connection.cursor() as cursor:
        columns = (
            [getattr(schedule, name) for schedule in schedules]
            for name in ("pk", "next_fire_at", "last_fire_at", "last_task_id", "paused")
        )
        cursor.execute(_MOVE_ON, list(columns))


def _due() -> QuerySet[Schedule]:
    """With `clock`, the database's own."""
    due = Schedule.objects.filter(paused=False, next_fire_at__lte=Now()).order_by("next_fire_at")
    return due.annotate(clock=Now()).select_for_update(skip_locked=True)


def _waiting(schedules: list[Schedule]) -> set[int]:
    waiting = ScheduleFire.objects.filter(schedule__in=schedules, outcome=FireOutcome.WAITING)
    return set(waiting.values_list("schedule_id", flat=True))


def _plan(schedule: Schedule) -> list[Run]:
    """The runs due by now; moves the schedule on to its next time."""
    now: datetime.datetime = schedule.clock  # type: ignore[attr-defined]  # annotated by _due
    try:
        runs = _runs(schedule, now)
        schedule.next_fire_at = next(schedule.times_after(now))
    except ValueError as exc:
        schedule.paused = True
        note = f"{exc} The schedule was paused: correct it, then resume it."
        return [Run(schedule, schedule.next_fire_at, FireOutcome.FAILED, note)]
    schedule.last_fire_at = runs[-1].fire_at
    return runs


def _runs(schedule: Schedule, now: datetime.datetime) -> list[Run]:
    """By the policy for missed runs. What is left out leaves a row at its first time."""
    first = schedule.next_fire_at
    if first >= now - ON_TIME:
        return [_run(schedule, time) for time in (first, *_times(schedule, first, now))]
    if schedule.missed == Missed.ALL:
        times = _newest(schedule, first, now)
        if times[0] == first:
            return [_run(schedule, time) for time in times]
    else:
        times = list(_times(schedule, now - ON_TIME, now))
    if schedule.missed == Missed.ONCE and not times:
        return [_run(schedule, first, _missed_note(schedule, first, now, "this one stands for them"))]
    note = _missed_note(schedule, first, times[0] - _SECOND if times else now, "they were left out")
    return [Run(schedule, first, FireOutcome.MISSED, note), *(_run(schedule, time) for time in times)]


def _run(schedule: Schedule, time: datetime.datetime, note: str = "") -> Run:
    return run_of(schedule, time, run_at=time + jitter(schedule, time), note=note)


def jitter(schedule: Schedule, time: datetime.datetime) -> datetime.timedelta:
    """From 0 to `jitter_seconds`: the same for the same fire, different from schedule to schedule and fire to fire."""
    seed = f"{schedule.pk} {time.timestamp():.6f}".encode()
    share = int.from_bytes(hashlib.blake2b(seed, digest_size=6).digest()) / 2**48
    return datetime.timedelta(seconds=round(share * schedule.jitter_seconds, 3))


def _times(schedule: Schedule, after: datetime.datetime, until: datetime.datetime) -> Iterator[datetime.datetime]:
    return takewhile(lambda time: time <= until, schedule.times_after(after))


def _newest(schedule: Schedule, first: datetime.datetime, now: datetime.datetime) -> list[datetime.datetime]:
    """The last CATCH_UP_MAX times, `first` being the earliest.

    Rhythms only run forwards: where to start is bisected by probes of bounded length, however long nobody ticked.
    """
    times = [first, *islice(_times(schedule, first, now), CATCH_UP_MAX)]
    if len(times) <= CATCH_UP_MAX:
        return times

    def following(second: int) -> list[datetime.datetime]:
        return list(islice(_times(schedule, first + second * _SECOND, now), CATCH_UP_MAX))

    seconds = range(int((now - first).total_seconds()) + 1)
    return following(bisect_left(seconds, True, key=lambda second: len(following(second)) < CATCH_UP_MAX) - 1)


def _missed_note(schedule: Schedule, first: datetime.datetime, last: datetime.datetime, what: str) -> str:
    count = 1 + sum(1 for _ in islice(_times(schedule, first, last), _COUNTED))
    shown = f"more than {_COUNTED}" if count > _COUNTED else str(count)
    return f"Missed: {shown} from {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC; {what}."


def _without_overlap(runs: list[Run], is_busy: bool, has_waiting: bool) -> list[Run]:
    """By the policy for overlaps, as if the runs came one after the other."""
    for run in runs:
        if run.outcome != FireOutcome.SUBMITTED:
            continue
        if is_busy and run.schedule.overlap != Overlap.ALLOW:
            run.task = None
            may_wait = run.schedule.overlap == Overlap.QUEUE and not has_waiting
            run.outcome = FireOutcome.WAITING if may_wait else FireOutcome.OVERLAPPED
            has_waiting = has_waiting or may_wait
        is_busy = True
    return runs
