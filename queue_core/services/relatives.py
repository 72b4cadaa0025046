"""relatives: the tasks that one waits for, and those that wait for it."""

from dataclasses import dataclass

from queue_core.models import Dependency, Task

RELATIVES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Relatives:
    """Edges with the task at their other end, without its payload; the first RELATIVES_MAX of each side."""

    parents: list[Dependency]
    children: list[Dependency]


def relatives(task: Task, most: int = RELATIVES_MAX) -> Relatives:
    """Two queries. What was pruned is left out."""
    parents = Dependency.objects.filter(task=task).select_related("parent").defer("parent__payload")
    children = Dependency.objects.filter(parent=task).select_related("task").defer("task__payload")
    return Relatives(list(parents.order_by("parent_id")[:most]), list(children.order_by("task_id")[:most]))
