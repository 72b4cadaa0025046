from queue_core.admin.schedule import ScheduleAdmin
from queue_core.admin.task import TaskAdmin
from queue_core.admin.worker import WorkerAdmin

__all__ = ["ScheduleAdmin", "TaskAdmin", "WorkerAdmin"]
