"""How pages show tasks in a table."""

import datetime
from collections.abc import Sequence
from typing import Any

from django.urls import reverse

from queue_core import services
from queue_core.admin.times import moment, span
from queue_core.models import Task

# Colours of Unfold's labels, for the states as people read them.
STATE_LABELS = {
    "blocked": "default",
    "queued": "info",
    "scheduled": "default",
    "running": "primary",
    "retrying": "warning",
    "succeeded": "success",
    "failed": "danger",
    "cancelled": "default",
    "expired": "default",
}


def rows_of(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Tasks in a table of tasks; for `task_table.html`."""
    took = services.durations(tasks)
    return [_row(task, took.get(task.pk)) for task in tasks]


def _row(task: Task, took: datetime.timedelta | None) -> dict[str, Any]:
    return {
        "task": task,
        "url": reverse("admin:queue_core_task_change", args=[task.pk]),
        "state": task.shown_state,
        "type": STATE_LABELS[task.shown_state],
        "started": moment(task.started_at),
        "took": span(took),
    }
