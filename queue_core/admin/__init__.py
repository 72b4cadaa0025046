from queue_core.admin.bulk_operation import BulkOperationAdmin
from queue_core.admin.dead_letter import DeadLetterAdmin
from queue_core.admin.dead_letter_group import DeadLetterGroupAdmin
from queue_core.admin.queue import QueueAdmin
from queue_core.admin.schedule import ScheduleAdmin
from queue_core.admin.task import TaskAdmin
from queue_core.admin.task_type import TypePolicyAdmin
from queue_core.admin.worker import WorkerAdmin
from queue_core.admin.workflow import WorkflowAdmin

__all__ = [
    "BulkOperationAdmin",
    "DeadLetterAdmin",
    "DeadLetterGroupAdmin",
    "QueueAdmin",
    "ScheduleAdmin",
    "TaskAdmin",
    "TypePolicyAdmin",
    "WorkerAdmin",
    "WorkflowAdmin",
]
