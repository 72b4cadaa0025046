from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from queue_core import registry
from queue_core.api.serializers import TaskTypeSerializer
from queue_core.models import Task

# A URL that no id can have is a 404 of the routing.
ID = "[0-9]{1,19}"


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
