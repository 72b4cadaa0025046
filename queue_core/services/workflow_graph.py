"""workflow_graph: the steps of a workflow as they are now, and what connects them."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from queue_core.models import Dependency, Task, Workflow


@dataclass(frozen=True, slots=True)
class Node:
    """A step; `state` is as people read it."""

    key: str
    name: str
    state: str
    task: int
    error: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """Keys of a step and of one that waits for it; `outcome` is how the parent ended, "" until then."""

    parent: str
    child: str
    on_failure: str
    outcome: str


def steps_of(workflow: Workflow) -> list[Task]:
    """All of them, as they were submitted, without payloads. At most QUEUE_WORKFLOW_STEPS_MAX."""
    return list(Task.objects.filter(workflow=workflow, step__isnull=False).defer("payload").order_by("pk"))


def workflow_graph(workflow: Workflow) -> tuple[list[Node], list[Arrow]]:
    """Two queries, however large it is. Steps that were pruned are left out, with their arrows."""
    steps = steps_of(workflow)
    keys = {task.pk: str(task.step) for task in steps}
    edges = Dependency.objects.filter(task__workflow=workflow, task__step__isnull=False).order_by("pk")
    arrows = [
        Arrow(keys[parent], keys[child], on_failure, outcome)
        for parent, child, on_failure, outcome in edges.values_list("parent_id", "task_id", "on_failure", "outcome")
        if parent in keys and child in keys
    ]
    return [Node(keys[t.pk], t.name, t.shown_state, t.pk, t.error) for t in steps], arrows


def step_counts(ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """For each of these workflows, how many steps are in each state, in one query; states without any are left out."""
    steps = Task.objects.filter(workflow__in=ids, step__isnull=False).values_list("workflow_id", "state")
    found: dict[int, dict[str, int]] = {pk: {} for pk in ids}
    for pk, state, count in steps.annotate(count=Count("pk")).order_by():
        found[pk][state] = count
    return found


def state_counts(workflow: Workflow) -> dict[str, int]:
    """How many steps are in each state; states without any are left out."""
    return step_counts([workflow.pk])[workflow.pk]
