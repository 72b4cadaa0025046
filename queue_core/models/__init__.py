from queue_core.models.execution import Execution, Result
from queue_core.models.task import Task
from queue_core.models.worker import Tick, Worker

__all__ = ["Execution", "Result", "Task", "Tick", "Worker"]
