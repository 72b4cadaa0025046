from collections.abc import Callable
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from queue_core import services
from queue_core.api.actor import actor
from queue_core.api.serializers import LimitsSerializer, NoFields, PurgedSerializer, QueueSerializer
from queue_core.api.views import whole
from queue_core.errors import UnknownQueue
from queue_core.models import Queue


class QueueViewSet(GenericViewSet[Any]):
    """Queues: what waits in each, and how it is held back."""

    queryset = Queue.objects.none()
    serializer_class = QueueSerializer
    filter_backends = ()
    lookup_field = "name"
    lookup_value_regex = "[^/]+"
    own_transactions = ("purge",)  # see config.api.idempotency
    needs = {
        "pause": "queue_core.change_queue",
        "resume": "queue_core.change_queue",
        "purge": "queue_core.change_task",
    }

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        shapes: dict[str, type[BaseSerializer[Any]]] = {
            "partial_update": LimitsSerializer,
            "pause": NoFields,
            "resume": NoFields,
            "purge": NoFields,
        }
        return shapes.get(self.action, QueueSerializer)

    @extend_schema(responses=QueueSerializer(many=True))
    def list(self, request: Request) -> Response:
        return whole([QueueSerializer(queue).data for queue in services.backlog()])

    @extend_schema(responses=QueueSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        return self._shown(name)

    @extend_schema(request=LimitsSerializer, responses=QueueSerializer)
    def partial_update(self, request: Request, name: str) -> Response:
        """Limit what runs at once and what may start in a time; null lifts a limit."""
        return self._held(request, name, services.limit_queue)

    @extend_schema(request=NoFields, responses=QueueSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, name: str) -> Response:
        """Start no more tasks of this queue, from within a second on."""
        return self._held(request, name, services.pause_queue)

    @extend_schema(request=NoFields, responses=QueueSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, name: str) -> Response:
        """Let a paused queue go on."""
        return self._held(request, name, services.resume_queue)

    @extend_schema(request=NoFields, responses=PurgedSerializer)
    @action(detail=True, methods=["post"])
    def purge(self, request: Request, name: str) -> Response:
        """Cancel everything that waits in this queue, up to 100 000 tasks a call."""
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            outcome = services.purge_queue(name, by=actor(request))
        except UnknownQueue:
            raise Http404 from None
        return Response({"cancelled": outcome.changed, "more": bool(outcome.skipped)})

    def _held(self, request: Request, name: str, verb: Callable[..., Queue]) -> Response:
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            verb(name, **given.validated_data, by=actor(request))
        except UnknownQueue:
            raise Http404 from None
        return self._shown(name)

    def _shown(self, name: str) -> Response:
        for queue in services.backlog():
            if queue.name == name:
                return Response(QueueSerializer(queue).data)
        raise Http404
