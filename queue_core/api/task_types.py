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
from queue_core.api.serializers import LimitsSerializer, NoFields, TaskTypeSerializer
from queue_core.api.views import whole
from queue_core.errors import UnknownTask
from queue_core.models import Task, TypePolicy


class TaskTypeViewSet(GenericViewSet[Any]):
    """The tasks that can be submitted, with what holds for each: policy, limits, pause."""

    queryset = Task.objects.none()  # who may see tasks may see these
    serializer_class = TaskTypeSerializer
    filter_backends = ()
    lookup_field = "name"
    lookup_value_regex = "[^/]+"
    needs = dict.fromkeys(("partial_update", "pause", "resume"), "queue_core.change_typepolicy")

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        shapes: dict[str, type[BaseSerializer[Any]]] = {
            "partial_update": LimitsSerializer,
            "pause": NoFields,
            "resume": NoFields,
        }
        return shapes.get(self.action, TaskTypeSerializer)

    @extend_schema(responses=TaskTypeSerializer(many=True))
    def list(self, request: Request) -> Response:
        return whole([TaskTypeSerializer(shown).data for shown in services.task_types()])

    @extend_schema(responses=TaskTypeSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        return self._shown(name)

    @extend_schema(request=LimitsSerializer, responses=TaskTypeSerializer)
    def partial_update(self, request: Request, name: str) -> Response:
        """Limit what runs at once and what may start in a time, over all queues; null goes back to the code's limit."""
        return self._held(request, name, services.limit_type)

    @extend_schema(request=NoFields, responses=TaskTypeSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, name: str) -> Response:
        """Start no more tasks of this type, from within a second on."""
        return self._held(request, name, services.pause_type)

    @extend_schema(request=NoFields, responses=TaskTypeSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, name: str) -> Response:
        """Let a paused type go on."""
        return self._held(request, name, services.resume_type)

    def _held(self, request: Request, name: str, verb: Callable[..., TypePolicy]) -> Response:
        self._find(name)
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        verb(name, **given.validated_data, by=actor(request))
        return self._shown(name)

    def _shown(self, name: str) -> Response:
        return Response(TaskTypeSerializer(self._find(name)).data)

    def _find(self, name: str) -> services.TypeShown:
        try:
            return services.task_type(name)
        except UnknownTask:
            raise Http404 from None
