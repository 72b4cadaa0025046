import uuid
from typing import Any

from django.db import transaction

from queue_core import lifecycle
from queue_core.errors import InvalidSubmission
from queue_core.services.pull_finish import LeaseLost, find_held


def pull_progress(task_id: int, lease: uuid.UUID, *, done: Any, total: Any = None, note: str = "") -> None:
    """How far a task is that is run elsewhere: `done` of `total`, in any unit; shown as of every other task.

    Does not extend the lease. Raises LeaseLost, or InvalidSubmission for what is no amount.
    """
    task = find_held(task_id, lease)
    try:
        report = lifecycle.how_far(task_id, task.attempt, lease, done, total, note)
    except lifecycle.NoAmount as exc:
        raise InvalidSubmission(exc.name, exc.reason) from None
    with transaction.atomic():
        if not lifecycle.report([report]):
            raise LeaseLost(task_id, lease)
