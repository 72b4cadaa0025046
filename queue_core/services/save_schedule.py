"""save_schedule: make a schedule, or change one. Nothing is stored that could not fire."""

import datetime
from itertools import islice, pairwise
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from queue_core.errors import InvalidSubmission, QueueError, UnknownQueue, UnknownTask
from queue_core.models import Schedule
from queue_core.services import audit
from queue_core.services.clock import database_time
from queue_core.services.submit import build, payload_text
from queue_core.states import Rhythm

Errors = dict[str, list[str]]
RHYTHM = ("kind", "expression", "interval_seconds", "timezone", "starts_at")
FIELDS = (
    *("name", "task", "payload", "queue", "priority", "max_attempts"),
    *RHYTHM,
    *("missed", "overlap", "jitter_seconds"),
)
_EARLIEST = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_AHEAD = datetime.timedelta(days=3660)
# The shortest time between two runs is looked for among so many.
_FIRES_COMPARED = 60


class InvalidSchedule(QueueError):
    """`errors` says what to correct: {field: [reason]}."""

    def __init__(self, errors: Errors) -> None:
        self.errors = errors
        reasons = " ".join(f"{field}: {' '.join(texts)}" for field, texts in errors.items())
        super().__init__(f"The schedule was not saved. {reasons}")


def save_schedule(*, schedule: Schedule | None = None, by: audit.Actor | None = None, **values: Any) -> Schedule:
    """Make a schedule from FIELDS, or change those given of one. Raises InvalidSchedule, and then nothing is changed.

    `expression` makes it a cron schedule and `interval_seconds` one by interval; `kind` decides where both are given.
    A changed rhythm counts from now on: what was missed under the old one is not made up.
    """
    try:
        with transaction.atomic():
            now = database_time()
            saved = _new(now) if schedule is None else _locked(schedule)
            before = _rhythm_of(saved)
            errors = _assign(saved, values, now) or _problems(saved, now)
            if errors:
                raise InvalidSchedule(errors)
            if _rhythm_of(saved) != before:
                saved.next_fire_at = next(saved.times_after(now))
            saved.updated_at = now
            saved.save()
            _record(saved, values, by=by, is_new=schedule is None)
    except IntegrityError:
        raise InvalidSchedule({"name": ["Another schedule has this name."]}) from None
    return saved


def _record(schedule: Schedule, values: dict[str, Any], *, by: audit.Actor | None, is_new: bool) -> None:
    message = "Created." if is_new else f"Changed {', '.join(values)}."
    flag = audit.ADDITION if is_new else audit.CHANGE
    audit.record(Schedule, [schedule.pk], message, by=by, flag=flag, name=str(schedule))


def _new(now: datetime.datetime) -> Schedule:
    return Schedule(starts_at=now.replace(microsecond=0), created_at=now)


def _locked(schedule: Schedule) -> Schedule:
    """As it is now; the tick waits."""
    found = Schedule.objects.select_for_update().filter(pk=schedule.pk).first()
    if found is None:
        raise QueueError(f"The schedule {schedule.name} was deleted meanwhile; make a new one.")
    return found


def _rhythm_of(schedule: Schedule) -> list[Any]:
    return [getattr(schedule, field) for field in RHYTHM]


def _assign(schedule: Schedule, values: dict[str, Any], now: datetime.datetime) -> Errors:
    """Set the values; what cannot even be set is an error."""
    if unknown := values.keys() - set(FIELDS):
        return {field: [f"Not a field of a schedule; those are {', '.join(FIELDS)}."] for field in sorted(unknown)}
    starts_at = values.get("starts_at", now)
    is_time = isinstance(starts_at, datetime.datetime) and starts_at.tzinfo is not None
    if not is_time or not _EARLIEST <= starts_at <= now + _AHEAD:
        return {"starts_at": ["Give a time with a time zone, from the year 2000 to ten years from now."]}
    if wrong := _mistyped(values):
        return wrong
    kind = values.get("kind")
    if kind is None and values.get("expression") and values.get("interval_seconds") is not None:
        return {"kind": ["Give an expression or interval_seconds, not both; or say the kind."]}
    for field, value in values.items():
        setattr(schedule, field, value)
    if kind is None and values.get("interval_seconds") is not None:
        schedule.kind = Rhythm.INTERVAL
    elif kind is None and values.get("expression"):
        schedule.kind = Rhythm.CRON
    return {}


def _mistyped(values: dict[str, Any]) -> Errors:
    """What the checks of a field could not even look at."""
    seconds = values.get("interval_seconds")
    if not isinstance(values.get("expression", ""), str):
        return {"expression": ["must be a text"]}
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int)):
        return {"interval_seconds": ["must be a whole number"]}
    try:
        payload_text(values.get("payload", {}), None)
    except InvalidSubmission as exc:
        return {exc.field: [str(exc).removeprefix(f"{exc.field}: ")]}
    return {}


def _problems(schedule: Schedule, now: datetime.datetime) -> Errors:
    if schedule.kind == Rhythm.INTERVAL:
        schedule.expression = ""
    else:
        schedule.interval_seconds = None
    errors: Errors = {}
    try:
        schedule.full_clean(exclude=["next_fire_at", "last_task", "created_at", "updated_at"])
    except ValidationError as exc:
        errors = exc.message_dict
    if not errors.keys() & set(RHYTHM):
        errors |= _rhythm_problem(schedule)
    return errors or _jitter_problem(schedule, now) or _task_problem(schedule)


def _rhythm_problem(schedule: Schedule) -> Errors:
    try:
        _ = schedule.rhythm
    except ValueError as exc:
        return {"interval_seconds" if schedule.kind == Rhythm.INTERVAL else "expression": [str(exc)]}
    return {}


def _jitter_problem(schedule: Schedule, now: datetime.datetime) -> Errors:
    """Runs that start later than the next one is due would count as not over, and what overlaps is left out."""
    if not schedule.jitter_seconds:
        return {}
    times = islice(schedule.times_after(now), _FIRES_COMPARED)
    shortest = min((later - sooner for sooner, later in pairwise(times)), default=_AHEAD).total_seconds()
    if schedule.jitter_seconds < shortest:
        return {}
    return {"jitter_seconds": [f"Runs come as little as {shortest:.0f} s apart; give less than that, or 0."]}


def _task_problem(schedule: Schedule) -> Errors:
    """What `submit` would refuse."""
    try:
        build(
            schedule.task,
            schedule.payload,
            queue=schedule.queue,
            priority=schedule.priority,
            max_attempts=schedule.max_attempts,
        )
    except UnknownTask as exc:
        return {"task": [str(exc)]}
    except (UnknownQueue, InvalidSubmission) as exc:
        return {exc.field: [str(exc).removeprefix(f"{exc.field}: ")]}
    return {}
