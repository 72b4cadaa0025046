"""How pages show tasks in a table."""

from typing import Any

from django.urls import reverse

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


def row_of(task: Task) -> dict[str, Any]:
    """A task in a table of tasks; for `task_table.html`."""
    took = task.finished_at - task.started_at if task.finished_at and task.started_at else None
    return {
        "task": task,
        "url": reverse("admin:queue_core_task_change", args=[task.pk]),
        "state": task.shown_state,
        "type": STATE_LABELS[task.shown_state],
        "started": moment(task.started_at),
        "took": span(took),
    }
