from rest_framework.routers import SimpleRouter

from queue_core.api import (
    bulk,
    dead_letters,
    letter_bulk,
    pull,
    queues,
    schedules,
    search,
    task_types,
    tasks,
    workers,
    workflows,
)

router = SimpleRouter()
# Before the tasks, whose ids these would be otherwise.
router.register("tasks/bulk", bulk.TaskBulkViewSet, basename="task-bulk")
router.register("tasks/search", search.SearchViewSet, basename="task-search")
router.register("tasks", tasks.TaskViewSet, basename="task")
router.register("tasks", pull.HeldTaskViewSet, basename="held-task")
router.register("task-types", task_types.TaskTypeViewSet, basename="task-type")
router.register("workers", workers.WorkerViewSet, basename="worker")
router.register("worker-pools", workers.WorkerPoolViewSet, basename="worker-pool")
router.register("schedules", schedules.ScheduleViewSet, basename="schedule")
router.register("queues", queues.QueueViewSet, basename="queue")
router.register("dead-letters/bulk", letter_bulk.DeadLetterBulkViewSet, basename="dead-letter-bulk")
router.register("dead-letters/groups", dead_letters.DeadLetterGroupViewSet, basename="dead-letter-group")
router.register("dead-letters", dead_letters.DeadLetterViewSet, basename="dead-letter")
router.register("bulk-operations", bulk.BulkOperationViewSet, basename="bulk-operation")
router.register("workflows", workflows.WorkflowViewSet, basename="workflow")
urlpatterns = router.urls
