"""settle: what follows from the end of tasks that others wait for. Workers, the ticker and verbs call it."""

from collections.abc import Collection
from functools import partial

from django.db import transaction

from queue_core import broker, lifecycle
from queue_core.lifecycle import EndedWorkflow, NewTask
from queue_core.references import WORKFLOW_MARK, replace
from queue_core.states import WorkflowState

# Settlers take turns: nobody waits longer for his than a slice of another one takes, about 0.1 s.
_SLICE = 1_000
# state of a workflow -> its callbacks that are submitted
_FIRED = {
    WorkflowState.SUCCEEDED: ("success", "complete"),
    WorkflowState.FAILED: ("failure", "complete"),
    WorkflowState.CANCELLED: ("complete",),
}
WORKFLOW_FACTS = ("id", "name", "state")


def settle(slices: int = 100, *, claims_next: Collection[str] = ()) -> int:
    """Release or cancel what waited for tasks that have ended, and end workflows.

    Returns how many ends and edges were settled. Each slice, of up to 1 000 of both, is a transaction. Callbacks are
    submitted in the one that ends their workflow, so once for each end. What it cannot get hold of now is left for the
    next call; the ticker makes one every second.
    Queues from which the caller claims next are not rung.
    """
    total = 0
    for _ in range(slices):
        with transaction.atomic():
            settled = lifecycle.settle(_SLICE)
            callbacks = [row for workflow in settled.workflows for row in _callbacks(workflow)]
            if callbacks:
                lifecycle.insert(callbacks)
            for queue in (settled.queues | {row.queue for row in callbacks}).difference(claims_next):
                transaction.on_commit(partial(broker.ring, queue))
        total += settled.rows
        if not settled.more:
            break
    return total


def settle_on_commit() -> None:
    """For verbs that end tasks; an error is logged, and the ticker settles."""
    transaction.on_commit(settle, robust=True)


def _callbacks(workflow: EndedWorkflow) -> list[NewTask]:
    facts = {"id": workflow.id, "name": workflow.name, "state": workflow.state}
    rows = []
    for event in _FIRED[WorkflowState(workflow.state)]:
        if event in workflow.callbacks:
            stored = dict(workflow.callbacks[event])
            payload = stored.pop("payload")
            replace(payload, facts.__getitem__, mark=WORKFLOW_MARK)
            text = lifecycle.dump_json(payload, max_bytes=2**31, what="the payload")
            rows.append(NewTask(payload=text, workflow_id=workflow.id, **stored))
    return rows
