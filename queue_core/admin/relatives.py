"""What the task's page shows of its workflow, of the tasks around it and before it, and of why it waits."""

from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst

from queue_core import services
from queue_core.admin.links import group_link, letter_link, task_link
from queue_core.admin.task_rows import rows_of
from queue_core.models import Task, Workflow

_SHOWN = 50
_SHOWN_LINKS = 10


def workflow_link(task: Task) -> str:
    """`charge #7, step pay`; a dash without a workflow. Callbacks and replays of steps have no step of their own."""
    if task.workflow_id is None:
        return "–"  # noqa: RUF001
    workflow = Workflow.objects.filter(pk=task.workflow_id).first()
    step = f", step {task.step}" if task.step is not None else ""
    if workflow is None:
        return f"workflow {task.workflow_id}{step}"
    url = reverse("admin:queue_core_workflow_change", args=[workflow.pk])
    return format_html('<a class="ph-link" href="{}">{}</a>{}', url, workflow, step)


def lineage(task: Task) -> list[tuple[str, Any]]:
    """Facts: which task it repeats, which ones repeat it, and its dead letters. None of those that are not."""
    found = services.lineage(task)
    again = format_html_join(", ", "{}", ((task_link(pk),) for pk in found.replays[:_SHOWN_LINKS]))
    letters = format_html_join(
        ", ",
        "{} ({}), of the group {}",
        ((letter_link(one.pk), one.resolution or "open", group_link(one.fingerprint)) for one in found.letters),
    )
    more = len(found.replays) > _SHOWN_LINKS
    rows = [
        ("Replay of", task_link(task.replay_of) if task.replay_of else ""),
        ("Replayed as", format_html("{} and more", again) if more else again),
        ("Dead letter" if len(found.letters) == 1 else "Dead letters", letters),
    ]
    return [(label, value) for label, value in rows if value]


def of(task: Task) -> dict[str, Any]:
    """The tables of parents and children, those that have rows, and the sentence about waiting."""
    around = services.relatives(task, _SHOWN + 1)
    sides = [
        ("Tasks before this one", [edge.parent for edge in around.parents]),
        ("Tasks after this one", [edge.task for edge in around.children]),
    ]
    return {
        "waiting": capfirst(services.waiting_reason(task)),
        "relatives": [
            {"title": title, "rows": rows_of(tasks[:_SHOWN]), "cut": len(tasks) > _SHOWN}
            for title, tasks in sides
            if tasks
        ],
    }
