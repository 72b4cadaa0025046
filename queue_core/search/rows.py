"""The rows a query means, found within a time however large the table is."""

import datetime
import time
from dataclasses import dataclass

from django.db.models import Max, Min, QuerySet

from queue_core.models import Task
from queue_core.search.conditions import condition
from queue_core.search.language import Query, SearchError
from queue_core.time_limit import TooSlow, time_limit

SECONDS = 0.5
# How many ids are looked at together where no index helps, at first and at most.
_WIDTH = (20_000, 1_000_000)
NEWEST = 200_000
_MIN_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Found:
    """The newest tasks first. `before`: look on below this id for more; None when all was looked at."""

    tasks: list[Task]
    before: int | None


@dataclass(frozen=True, slots=True)
class Narrowed:
    """`searched_from`: only tasks from this id on are among the rows; None for all."""

    tasks: QuerySet[Task]
    searched_from: int | None


def find(tasks: QuerySet[Task], query: Query, *, now: datetime.datetime, before: int, size: int) -> Found:
    """Up to `size` tasks with an id below `before`, within about half a second.

    Where an index finds them, all are looked at; otherwise they are read in ranges of ids from the newest down, until
    there are enough or the time is over, and `before` says where to go on. Raises SearchError when even the first
    range takes longer.
    """
    due = time.monotonic() + SECONDS
    where = condition(query, now=now)
    tasks = tasks.filter(where.q).order_by("-id")
    if where.indexed or not query.terms:
        try:
            with time_limit(SECONDS / 2):
                return _page(tasks.filter(pk__lt=before), size)
        except TooSlow:
            pass
    return _by_ranges(tasks, before, size, due)


def _page(tasks: QuerySet[Task], size: int) -> Found:
    found = list(tasks[: size + 1])
    return Found(found[:size], found[size - 1].pk if len(found) > size else None)


def _by_ranges(tasks: QuerySet[Task], before: int, size: int, due: float) -> Found:
    ends = Task.objects.aggregate(first=Min("pk"), last=Max("pk"))
    if ends["last"] is None:
        return Found([], None)
    top = start = min(before, ends["last"] + 1)
    found: list[Task] = []
    width = _WIDTH[0]
    while len(found) <= size and top > ends["first"]:
        left = due - time.monotonic()
        if left < _MIN_SECONDS:
            break
        try:
            with time_limit(left):
                found += tasks.filter(pk__lt=top, pk__gte=top - width)[: size + 1 - len(found)]
        except TooSlow:
            break
        top -= width
        width = min(width * 2, _WIDTH[1])
    if len(found) > size:
        return Found(found[:size], found[size - 1].pk)
    if top == start > ends["first"]:
        raise SearchError("This takes too long to find; add a condition, such as state:failed or a tag", 1)
    return Found(found, top if top > ends["first"] else None)


def narrowed(tasks: QuerySet[Task], query: Query, *, now: datetime.datetime) -> Narrowed:
    """The rows as a queryset: all of them where an index finds them, else those among the newest 200 000 ids."""
    where = condition(query, now=now)
    tasks = tasks.filter(where.q)
    last = None if where.indexed or not query.terms else Task.objects.aggregate(last=Max("pk"))["last"]
    if last is None or last <= NEWEST:
        return Narrowed(tasks, None)
    return Narrowed(tasks.filter(pk__gt=last - NEWEST), last - NEWEST + 1)
