from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from queue_core import services
from queue_core.api.actor import actor
from queue_core.api.filters import WorkerFilter
from queue_core.api.pull import PULL, PullActions
from queue_core.api.serializers import NoFields
from queue_core.api.views import ID
from queue_core.errors import QueueError
from queue_core.models import Worker, WorkerPool
from queue_core.services.scale_pool import SIZES
from queue_core.states import Desire, WorkerState

STEERED = dict.fromkeys(("pause", "resume", "drain", "stop", "scale"), "queue_core.steer_worker")


class Unsteered(QueueError):
    """A verb on one worker that was not followed."""

    def __init__(self, worker: Worker, reason: str) -> None:
        self.state = worker.state if worker.state != "online" else worker.desired
        super().__init__(f"Worker {worker.pk} is {reason} (it was asked to {worker.desired}); nothing was changed.")


class WorkerSerializer(serializers.ModelSerializer[Worker]):
    class Meta:
        model = Worker
        fields = [
            *("id", "name", "kind", "pool", "hostname", "pid", "queues", "state", "started_at", "heartbeat_at"),
            *("lease_until", "capacity", "finished_tasks", "succeeded_tasks", "failed_tasks", "memory_mib"),
            *("cpu_percent", "current_task", "version"),
            *("desired", "desired_at", "acknowledged", "acknowledged_at"),
        ]


class WorkerPoolSerializer(serializers.ModelSerializer[WorkerPool]):
    class Meta:
        model = WorkerPool
        fields = [
            *("id", "name", "hostname", "pid", "queues", "wanted", "running"),
            *("started_at", "heartbeat_at", "stopped_at"),
        ]


class ScaleSerializer(serializers.Serializer[Any]):
    wanted = serializers.IntegerField(min_value=SIZES[0], max_value=SIZES[-1], help_text="worker processes")


class WorkerViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, PullActions):
    """Workers, also those that have ended. `desired` is what was asked, `acknowledged` what was heard."""

    queryset = Worker.objects.order_by("-id")
    serializer_class = WorkerSerializer
    filterset_class = WorkerFilter
    ordering_fields = ["id"]
    lookup_value_regex = ID
    needs = STEERED | dict.fromkeys(PullActions.pull_shapes, PULL)

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return NoFields if self.action in STEERED else self.pull_shapes.get(self.action, WorkerSerializer)

    @extend_schema(request=NoFields, responses=WorkerSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Have it finish what runs, give back what it claimed ahead, and take nothing; heard within a second."""
        return self._steered(request, services.pause_worker, Desire.PAUSE)

    @extend_schema(request=NoFields, responses=WorkerSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Let a paused worker go on."""
        return self._steered(request, services.resume_worker, Desire.RUN)

    @extend_schema(request=NoFields, responses=WorkerSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str) -> Response:
        """Have it finish all it holds, and end. Its pool gets smaller by it."""
        return self._steered(request, services.drain_worker, Desire.DRAIN)

    @extend_schema(request=NoFields, responses=WorkerSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Have it finish what runs, give back the rest, and end. Its pool gets smaller by it."""
        return self._steered(request, services.stop_worker, Desire.STOP)

    def _steered(self, request: Request, verb: Callable[..., services.BulkOutcome], desire: Desire) -> Response:
        """What was asked for before is no error: it is so already."""
        worker = self.get_object()
        self.get_serializer(data=request.data).is_valid(raise_exception=True)
        outcome = verb([worker.pk], by=actor(request))
        worker.refresh_from_db()
        is_so = worker.state == WorkerState.ONLINE and worker.desired == desire
        if not (outcome.changed or is_so):
            raise Unsteered(worker, outcome.reason)
        return Response(WorkerSerializer(worker).data)


class WorkerPoolViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[WorkerPool]):
    """The parents of worker processes (`manage.py worker`), also those that have ended."""

    queryset = WorkerPool.objects.order_by("-id")
    serializer_class = WorkerPoolSerializer
    filter_backends = ()
    lookup_value_regex = ID
    needs = STEERED

    @extend_schema(request=ScaleSerializer, responses=WorkerPoolSerializer)
    @action(detail=True, methods=["post"], serializer_class=ScaleSerializer)
    def scale(self, request: Request, pk: str) -> Response:
        """Have it keep so many worker processes, within about a second; those too many are drained."""
        pool = self.get_object()
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        scaled = services.scale_pool(pool.pk, given.validated_data["wanted"], by=actor(request))
        return Response(WorkerPoolSerializer(scaled).data)
