import datetime
import re
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.utils.urls import replace_query_param
from rest_framework.viewsets import GenericViewSet

from queue_core import services
from queue_core.api.actor import actor
from queue_core.api.csv_answer import AnyMediaType, csv_answer
from queue_core.api.filters import TaskFilter
from queue_core.api.serializers import (
    BatchSerializer,
    DependenciesSerializer,
    EditSerializer,
    ExecutionSerializer,
    LogLineSerializer,
    NoFields,
    OutcomeSerializer,
    ReplaySerializer,
    StatsSerializer,
    SubmitSerializer,
    SubmittedSerializer,
    TaskSerializer,
    TaskSummarySerializer,
)
from queue_core.api.views import ID
from queue_core.errors import QueueError
from queue_core.models import Execution, LogLine, Task

_WINDOW = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LOG_LINES = 1000


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
    needs = dict.fromkeys(("retry", "replay", "cancel", "pin", "unpin"), "queue_core.change_task")

    def get_queryset(self) -> QuerySet[Task]:
        tasks = super().get_queryset()
        return tasks.defer("payload", "context") if self.action == "list" else tasks

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        shapes: dict[str, type[BaseSerializer[Any]]] = {
            "list": TaskSummarySerializer,
            "create": SubmitSerializer,
            "batch": BatchSerializer,
            "retry": NoFields,
            "replay": ReplaySerializer,
            "cancel": NoFields,
            "pin": NoFields,
            "unpin": NoFields,
            "partial_update": EditSerializer,
        }
        return shapes.get(self.action, TaskSerializer)

    @extend_schema(request=SubmitSerializer, responses={201: TaskSerializer, 200: TaskSerializer})
    def create(self, request: Request) -> Response:
        """Submit a task. 200 with the task there is when a live one has the `unique_key`."""
        submitted = services.submit(**self._given(request), by=actor(request))
        task = Task.objects.get(pk=submitted.id)
        shown = TaskSerializer(task, context={"is_new": submitted.created})
        return Response(shown.data, status=201 if submitted.created else 200)

    @extend_schema(request=EditSerializer, responses=TaskSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a task that waits."""
        task = self.get_object()
        changes = self._given(request)
        outcome = services.edit_task([task.pk], by=actor(request), **changes)
        task.refresh_from_db()
        if changes and not outcome.changed:
            raise NothingMoved(task, outcome.reason)
        return Response(TaskSerializer(task).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget a task that is over and not pinned, with its history."""
        task = self.get_object()
        outcome = services.delete_tasks([task.pk], by=actor(request))
        if not outcome.changed:
            raise NothingMoved(task, outcome.reason)
        return Response(status=204)

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
            task.refresh_from_db()
            raise NothingMoved(task, services.why_left(task))
        return Response(TaskSerializer(Task.objects.get(pk=made[task.pk])).data, status=201)

    @extend_schema(request=NoFields, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop a task that waits; ask a running one to end."""
        return self._moved(request, services.cancel)

    @extend_schema(request=NoFields, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def pin(self, request: Request, pk: str) -> Response:
        """Keep it when its time to be forgotten comes."""
        return self._kept(request, services.pin)

    @extend_schema(request=NoFields, responses=TaskSerializer)
    @action(detail=True, methods=["post"])
    def unpin(self, request: Request, pk: str) -> Response:
        """Let it be forgotten in its time."""
        return self._kept(request, services.unpin)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=False, content_negotiation_class=AnyMediaType)
    def export(self, request: Request) -> StreamingHttpResponse:
        """The filtered list as CSV, newest first; as long as it may be."""
        tasks = self.filter_queryset(self.get_queryset())
        return csv_answer(services.export_tasks(tasks), "tasks.csv")

    @extend_schema(
        parameters=[OpenApiParameter("window", str, description="30m, 24h (default), 7d")],
        responses=StatsSerializer,
        filters=False,
    )
    @action(detail=False, filterset_class=None, pagination_class=None)
    def stats(self, request: Request) -> Response:
        """How many tasks by state, queue and name; estimated where counting would take longer than a second."""
        found = services.stats(_window(request.query_params.get("window", "24h")))
        return Response(StatsSerializer(found).data)

    @extend_schema(responses=OutcomeSerializer)
    @action(detail=True)
    def result(self, request: Request, pk: str) -> Response:
        """What it returned, or its last error."""
        return Response(OutcomeSerializer(self.get_object()).data)

    @extend_schema(responses=DependenciesSerializer)
    @action(detail=True)
    def dependencies(self, request: Request, pk: str) -> Response:
        """The tasks it waits for, and those that wait for it, with their states."""
        return Response(DependenciesSerializer(services.relatives(self.get_object())).data)

    @extend_schema(responses=ExecutionSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def executions(self, request: Request, pk: str) -> Response:
        """Its attempts, the last one first."""
        attempts = Execution.objects.filter(task=self.get_object()).order_by("-attempt")
        page: Any = self.paginate_queryset(attempts)  # type: ignore[arg-type]  # typed for tasks
        return self.get_paginated_response(ExecutionSerializer(page, many=True).data)

    @extend_schema(
        parameters=[OpenApiParameter("after", int), OpenApiParameter("page_size", int)],
        responses=LogLineSerializer(many=True),
        filters=False,
    )
    @action(detail=True, filterset_class=None)
    def logs(self, request: Request, pk: str) -> Response:
        """What was logged while it ran, in order; ask again with `after`, the last id so far, to follow."""
        task, size = self.get_object(), _log_lines(request)
        lines = list(LogLine.objects.filter(task=task, pk__gt=_after(request)).order_by("pk")[: size + 1])
        more = None
        if len(lines) > size:
            lines.pop()
            more = replace_query_param(request.build_absolute_uri(), "after", lines[-1].pk)
        results = LogLineSerializer(lines, many=True).data
        return Response({"next": more, "previous": None, "count": None, "results": results})

    def _given(self, request: Request) -> dict[str, Any]:
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        return given

    def _kept(self, request: Request, verb: Callable[..., services.BulkOutcome]) -> Response:
        task = self.get_object()
        self._given(request)
        verb([task.pk], by=actor(request))
        task.refresh_from_db()
        return Response(TaskSerializer(task).data)

    def _moved(self, request: Request, verb: Callable[..., services.BulkOutcome]) -> Response:
        task = self.get_object()
        self._given(request)
        outcome = verb([task.pk], by=actor(request))
        task.refresh_from_db()
        if not (outcome.changed or outcome.asked):
            raise NothingMoved(task, outcome.reason)
        return Response(TaskSerializer(task).data)


def _window(text: str) -> datetime.timedelta:
    match = _WINDOW.fullmatch(text)
    if match is None or (seconds := int(match[1]) * _SECONDS[match[2]]) > 3660 * 86_400:
        raise ValidationError({"window": ["Give a time such as 30m, 24h or 7d, of ten years at most."]})
    return datetime.timedelta(seconds=seconds)


def _log_lines(request: Request) -> int:
    """How many lines are asked for at most."""
    given = request.query_params.get("page_size", str(_LOG_LINES))
    if not (given.isascii() and given.isdigit() and len(given) <= 4 and 1 <= int(given) <= _LOG_LINES):
        raise ValidationError({"page_size": [f"Give a whole number from 1 to {_LOG_LINES}."]})
    return int(given)


def _after(request: Request) -> int:
    given = request.query_params.get("after", "0")
    if not (given.isascii() and given.isdigit() and len(given) < 20 and int(given) < 2**63):
        raise ValidationError({"after": ["Give the id of the last line you have."]})
    return int(given)
