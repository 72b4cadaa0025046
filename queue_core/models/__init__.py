from queue_core.models.bulk_operation import BulkOperation
from queue_core.models.dead_letter import DeadLetter, DeadLetterGroup
from queue_core.models.execution import Execution, Result
from queue_core.models.notes import LogLine, Progress
from queue_core.models.prune_walk import PruneWalk
from queue_core.models.queue import Queue
from queue_core.models.schedule import Schedule, ScheduleFire
from queue_core.models.task import Task
from queue_core.models.task_type import Lane, TypePolicy
from queue_core.models.worker import Tick, Worker, WorkerPool
from queue_core.models.workflow import Dependency, Workflow

__all__ = [
    "BulkOperation",
    "DeadLetter",
    "DeadLetterGroup",
    "Dependency",
    "Execution",
    "Lane",
    "LogLine",
    "Progress",
    "PruneWalk",
    "Queue",
    "Result",
    "Schedule",
    "ScheduleFire",
    "Task",
    "Tick",
    "TypePolicy",
    "Worker",
    "WorkerPool",
    "Workflow",
]
