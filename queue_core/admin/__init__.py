from queue_core.admin.task import TaskAdmin
from queue_core.admin.worker import WorkerAdmin

__all__ = ["TaskAdmin", "WorkerAdmin"]
