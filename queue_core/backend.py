"""Django's Tasks API on this queue: any function under `@task`, of any app, runs durably here."""

import re
from typing import Any

from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import TaskError, TaskResult, TaskResultStatus
from django_tasks.exceptions import TaskResultDoesNotExist

from queue_core import registry
from queue_core.errors import UnknownTask
from queue_core.models import Execution, Result, Task
from queue_core.registry import TaskType
from queue_core.services import submit
from queue_core.states import Outcome, TaskState

_ID = re.compile("[0-9]{1,18}")
_STATUS = {
    TaskState.BLOCKED: TaskResultStatus.READY,
    TaskState.QUEUED: TaskResultStatus.READY,
    TaskState.RUNNING: TaskResultStatus.RUNNING,
    TaskState.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
    TaskState.FAILED: TaskResultStatus.FAILED,
    TaskState.CANCELLED: TaskResultStatus.FAILED,
    TaskState.EXPIRED: TaskResultStatus.FAILED,
}


class PosthasteBackend(BaseTaskBackend):
    task_class = TaskType
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult[Any]:
        """Submit; the row belongs to the caller's transaction, as all of its writes do."""
        self.validate_task(task)
        payload = {**({"*args": list(args)} if args else {}), **kwargs}
        submitted = submit(task.name, payload, queue=task.queue_name, priority=task.priority, run_at=task.run_after)
        return self.get_result(str(submitted.id))

    def get_result(self, result_id: str) -> TaskResult[Any]:
        row = Task.objects.filter(pk=int(result_id)).first() if _ID.fullmatch(result_id) else None
        if row is None:
            raise TaskResultDoesNotExist(result_id)
        try:
            task = registry.resolve(row.name)
        except UnknownTask as exc:
            # A result names its function; that one is gone from the code.
            raise TaskResultDoesNotExist(result_id) from exc
        executions = list(Execution.objects.filter(task_id=row.pk).order_by("attempt"))
        payload = dict(row.payload)
        result: TaskResult[Any] = TaskResult(
            task=task,
            id=str(row.pk),
            status=_STATUS[TaskState(row.state)],
            enqueued_at=row.created_at,
            started_at=executions[0].started_at if executions else row.started_at,
            finished_at=row.finished_at,
            last_attempted_at=row.started_at,
            args=payload.pop("*args", []),
            kwargs=payload,
            backend=self.alias,
            errors=[
                TaskError(exception_class_path=attempt.error_class, traceback=attempt.traceback)
                for attempt in executions
                if attempt.outcome == Outcome.FAILED
            ],
            worker_ids=[str(attempt.worker_id) for attempt in executions]
            + ([str(row.worker_id)] if row.state == TaskState.RUNNING else []),
        )
        if row.state == TaskState.SUCCEEDED:
            value = Result.objects.filter(task_id=row.pk).values_list("value", flat=True).first()
            object.__setattr__(result, "_return_value", value)
        return result
