from django.urls import path
from rest_framework.routers import SimpleRouter

from queue_core.api import schedules, views

router = SimpleRouter()
router.register("tasks", views.TaskViewSet, basename="task")
router.register("task-types", views.TaskTypeViewSet, basename="task-type")
router.register("workers", views.WorkerViewSet, basename="worker")
router.register("schedules", schedules.ScheduleViewSet, basename="schedule")
urlpatterns = [path("queues/", views.Queues.as_view(), name="queues"), *router.urls]
