"""What the task's page shows of its workflow, of the tasks around it, and of why it waits."""

from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst

from queue_core import services
from queue_core.admin.task_rows import row_of
from queue_core.models import Task, Workflow

_SHOWN = 50


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
            {"title": title, "rows": [row_of(one) for one in tasks[:_SHOWN]], "cut": len(tasks) > _SHOWN}
            for title, tasks in sides
            if tasks
        ],
    }
