from functools import partial

from django.db import transaction

from queue_core import broker, lifecycle
from queue_core.errors import QueueError
from queue_core.models import Workflow
from queue_core.services import audit
from queue_core.services.outcome import BulkOutcome, plural


class WorkflowUnmoved(QueueError):
    """A verb that the state of the workflow did not allow."""

    def __init__(self, workflow: Workflow, reason: str) -> None:
        self.state = workflow.state
        super().__init__(f"The workflow {workflow.name} is {reason}; nothing was changed.")


def retry_workflow(workflow: Workflow, *, by: audit.Actor | None = None) -> BulkOutcome:
    """Run again what has not succeeded: failed, cancelled and expired steps; succeeded ones are kept.

    The steps wait for each other as they did at first; expiry times that have passed are lifted. A workflow that had
    ended is running again. Raises WorkflowUnmoved when it succeeded, is being cancelled, or has nothing to retry.
    """
    with transaction.atomic():
        retried = lifecycle.retry_workflow(workflow.pk, by=audit.user_id(by))
        if not retried.steps:
            raise WorkflowUnmoved(workflow, retried.refused or f"{workflow.state} and has no step to retry")
        audit.record(Workflow, [workflow.pk], f"Retried {plural(retried.steps, 'step')}.", by=by, name=str(workflow))
        for queue in retried.queues:
            transaction.on_commit(partial(broker.ring, queue))
    return BulkOutcome(changed=retried.steps, skipped=0, reason="")
