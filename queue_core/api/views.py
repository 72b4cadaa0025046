from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet, ViewSet

from queue_core import registry, services
from queue_core.api.actor import actor
from queue_core.api.filters import TaskFilter
from queue_core.api.serializers import (
    BatchSerializer,
    ExecutionSerializer,
    NoFields,
    OutcomeSerializer,
    ReplaySerializer,
    SubmitSerializer,
    SubmittedSerializer,
    TaskSerializer,
    TaskSummarySerializer,
    TaskTypeSerializer,
)
from queue_core.errors import QueueError
from queue_core.models import Execution, Task

# A URL that no id can have is a 404 of the routing.
ID = "[0-9]{1,19}"


class NothingMoved(QueueError):
    """A verb on one task that its state did not allow."""

    def __init__(self, task: Task, reason: str) -> None:
        self.state = task.state
        super().__init__(f"Task {task.pk} is {task.state}: it is {reason}; nothing was changed.")


class TaskViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Task]):
    """Tasks: what was asked for, how far it is, and how it ended."""

    queryset = Task.objects.order_by("-id")
    serializer_class = TaskSerializer
    filterset_class = TaskFilter
    ordering_fields = ["id"]
    lookup_value_regex = ID
    needs = dict.fromkeys(("retry", "replay", "cancel"), "queue_core.change_task")

    def get_queryset(self) -> QuerySet[Task]:
        tasks = super().get_queryset()
        return tasks.defer("payload") if self.action == "list" else tasks

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        shapes: dict[str, type[BaseSerializer[Any]]] = {
            "list": TaskSummarySerializer,
            "create": SubmitSerializer,
            "batch": BatchSerializer,
            "retry": NoFields,
            "replay": ReplaySerializer,
            "cancel": NoFields,
        }
        return shapes.get(self.action, TaskSerializer)

    @extend_schema(request=SubmitSerializer, responses={201: TaskSerializer, 200: TaskSerializer})
    def create(self, request: Request) -> Response:
        """Submit a task. 200 with the task there is when a live one has the `unique_key`."""
        submitted = services.submit(**self._given(request), by=actor(request))
        task = Task.objects.get(pk=submitted.id)
        return Response(TaskSerializer(task).data, status=201 if submitted.created else 200)

    @extend_schema(request=BatchSerializer, responses={201: SubmittedSerializer})
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        """Submit up to 10 000 tasks, all or nothing."""
        submitted = services.submit_batch(self._given(request)["tasks"], by=actor(request))
        created = len({one.id for one in submitted if one.created})
        return Response({"ids": [one.id for one in submitted], "created": created}, status=201)

    @extend_schema(request=NoFields, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Put a failed or cancelled task back in line; its history stays."""
        return self._moved(request, services.retry)

    @extend_schema(request=ReplaySerializer, responses={201: TaskSerializer})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: str) -> Response:
        """Run a task that is over again, as a new one."""
        task = self.get_object()
        made = services.replay([task.pk], payload=self._given(request).get("payload"), by=actor(request))
        if not made:
            raise NothingMoved(task, "not over yet")
        return Response(TaskSerializer(Task.objects.get(pk=made[task.pk])).data, status=201)

    @extend_schema(request=NoFields, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop a task that waits; ask a running one to end."""
        return self._moved(request, services.cancel)

    @extend_schema(responses=OutcomeSerializer)
    @action(detail=True)
    def result(self, request: Request, pk: str) -> Response:
        """What it returned, or its last error."""
        return Response(OutcomeSerializer(self.get_object()).data)

    @extend_schema(responses=ExecutionSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def executions(self, request: Request, pk: str) -> Response:
        """Its attempts, the last one first."""
        attempts = Execution.objects.filter(task=self.get_object()).order_by("-attempt")
        page: Any = self.paginate_queryset(attempts)  # type: ignore[arg-type]  # typed for tasks
        return self.get_paginated_response(ExecutionSerializer(page, many=True).data)

    def _given(self, request: Request) -> dict[str, Any]:
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        return given

    def _moved(self, request: Request, verb: Callable[..., services.BulkOutcome]) -> Response:
        task = self.get_object()
        self._given(request)
        outcome = verb([task.pk], by=actor(request))
        task.refresh_from_db()
        if not (outcome.changed or outcome.asked):
            raise NothingMoved(task, outcome.reason)
        return Response(TaskSerializer(task).data)


class TaskTypeViewSet(ViewSet):
    """The tasks that can be submitted, with their policies."""

    queryset = Task.objects.none()  # who may see tasks may see these
    lookup_value_regex = "[^/]+"
    lookup_url_kwarg = "name"

    @extend_schema(responses=TaskTypeSerializer(many=True))
    def list(self, request: Request) -> Response:
        return whole([TaskTypeSerializer(registry.get(name)).data for name in registry.names()])

    @extend_schema(responses=TaskTypeSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        task_type = registry.find(name)
        if task_type is None:
            raise Http404
        return Response(TaskTypeSerializer(task_type).data)


def whole(results: Any) -> Response:
    """A list that is never long, in the shape of a page."""
    return Response({"next": None, "previous": None, "count": len(results), "results": results})
