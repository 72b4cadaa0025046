"""What the task's page shows of who asked for it, how far it is, and what it logged."""

import logging
from itertools import groupby
from typing import Any

from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst

from queue_core.admin.times import moment
from queue_core.models import LogLine, Progress, Task
from queue_core.services.clock import database_time
from queue_core.states import TaskState

_SHOWN_LINES = 500
_DOORS = {"api": "the API", "admin": "the admin"}


def asked(task: Task) -> str:
    """`ada, through the API`, or a link to the task that submitted it; a dash when nobody is known."""
    told = task.context or {}
    user = _user_name(told["user_id"]) if "user_id" in told else ""
    if parent := told.get("parent_task"):
        url = reverse("admin:queue_core_task_change", args=[parent])
        behind = f", for {user}" if user else ""
        return format_html('<a class="ph-link" href="{}">task {}</a>{}', url, parent, behind)
    door = _DOORS.get(told.get("door", ""), "")
    way = f"through {door}" if door else ""
    return (f"{user}, {way}" if way else user) if user else capfirst(way) or "–"  # noqa: RUF001


def _user_name(user_id: Any) -> str:
    user = get_user_model().objects.filter(pk=user_id).first()
    return user.get_username() if user else f"user {user_id}"


def trace(task: Task) -> list[tuple[str, str]]:
    """Facts for those who follow a request through several systems."""
    told = task.context or {}
    return [
        (label, told[name]) for label, name in (("Request", "request_id"), ("Trace", "traceparent")) if told.get(name)
    ]


def progress(task: Task) -> dict[str, Any] | None:
    """How far the current or last attempt is; None when it did not say."""
    row = Progress.objects.filter(pk=task.pk, attempt=task.attempt).first()
    if row is None:
        return None
    total = "" if row.total is None else f" of {row.total:,.10g}"
    said = [f"{row.done:,.10g}{total}", row.note, _left(task, row)]
    return {"percent": row.percent, "text": " · ".join(filter(None, said)), "updated": moment(row.updated_at)}


def _left(task: Task, row: Progress) -> str:
    left = row.seconds_left
    if left is None or task.state != TaskState.RUNNING:
        return ""
    left -= (database_time() - row.updated_at).total_seconds()
    return f"about {_about(left)} left" if left >= 1 else "nearly done"


def _about(seconds: float) -> str:
    """`20 s`, `3 min`, `2 h`: an estimate, and no finer than one."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    return f"{round(seconds / 60)} min" if seconds < 5_400 else f"{round(seconds / 3_600)} h"


def logs(task: Task) -> dict[str, Any]:
    """The last lines by attempt, the last attempt first; `cut` when there are older ones."""
    newest = list(LogLine.objects.filter(task=task.pk).order_by("-pk")[: _SHOWN_LINES + 1])
    shown = newest[:_SHOWN_LINES][::-1]
    attempts = [
        {"attempt": attempt, "lines": [_line(line) for line in lines]}
        for attempt, lines in groupby(shown, lambda line: line.attempt)
    ]
    return {"attempts": attempts[::-1], "cut": len(newest) > _SHOWN_LINES, "shown": _SHOWN_LINES}


def _line(line: LogLine) -> dict[str, Any]:
    return {
        "at": f"{timezone.localtime(line.at):%H:%M:%S}",
        "level": logging.getLevelName(line.level),
        "is_bad": line.level >= logging.WARNING,
        "logger": line.logger,
        "message": line.message,
    }
