"""waiting_reason: why a task does not run yet, in a sentence for people."""

from django.utils import timezone
from django.utils.formats import date_format

from queue_core.models import Dependency, Task
from queue_core.services.hold_reason import hold_reason
from queue_core.states import TaskState

_SHOWN = 5


def waiting_reason(task: Task) -> str:
    """ "waits for 2 of 3 tasks: #12 charge (running), …", "scheduled for …", "queue mail is paused"; "" when it runs or
    is over."""
    if task.state == TaskState.BLOCKED:
        return _parents(task)
    if task.state != TaskState.QUEUED:
        return ""
    if task.run_at > timezone.now():
        verb = "retried at" if task.shown_state == "retrying" else "scheduled for"
        return f"{verb} {date_format(timezone.localtime(task.run_at), 'j M Y, H:i:s T')}"
    return hold_reason(task) or f"in line for a worker of the queue {task.queue}"


def _parents(task: Task) -> str:
    edges = Dependency.objects.filter(task=task)
    total, left = edges.count(), edges.filter(outcome="")
    shown = left.select_related("parent").defer("parent__payload").order_by("parent_id")[:_SHOWN]
    names = [f"#{edge.parent_id} {edge.parent.step or edge.parent.name} ({edge.parent.shown_state})" for edge in shown]
    more = ", …" if task.waits_for > len(names) else ""
    return f"waits for {task.waits_for} of {total} task{'' if total == 1 else 's'}: {', '.join(names)}{more}"
