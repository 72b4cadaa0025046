"""GET tasks/search/?q=: the search language of the admin and the commands, newest first."""

import re

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.viewsets import GenericViewSet

from queue_core import search
from queue_core.api.serializers import TaskSummarySerializer
from queue_core.models import Task
from queue_core.services.clock import database_time

_CURSOR = re.compile(r"[1-9]\d{0,18}", re.ASCII)
_END = 2**63 - 1
_PAGE_SIZE, _MAX_PAGE_SIZE = 100, 1000


class FoundSerializer(serializers.Serializer[search.Found]):
    """A page may hold fewer than asked for, even none, and still have a next one: what half a second found."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True, help_text="always null: a search goes on, not back")
    searched_to = serializers.IntegerField(allow_null=True, help_text="all ids from here on were looked at; null: all")
    results = TaskSummarySerializer(many=True)


class SearchViewSet(GenericViewSet[Task]):
    """Tasks by a search such as `state:failed name:campaigns.* error:"timed out" age:>1h -tag:x`."""

    queryset = Task.objects.defer("payload")
    serializer_class = TaskSummarySerializer
    filter_backends = []
    pagination_class = None

    @extend_schema(
        parameters=[
            OpenApiParameter("q", str, required=True, description="What to look for; see the guide to finding tasks."),
            OpenApiParameter("page_size", OpenApiTypes.INT, description="Rows in a page, at most 1000."),
            OpenApiParameter("cursor", str, description="From `next`."),
        ],
        responses=FoundSerializer,
    )
    def list(self, request: Request) -> Response:
        """The newest tasks that match. Follow `next` until it is null to see them all."""
        query = search.parse(request.query_params.get("q", ""))
        if not query.terms:
            raise ValidationError({"q": ["Say what to look for, such as state:failed."]})
        before = _number(request, "cursor", _END, _END)
        size = _number(request, "page_size", _PAGE_SIZE, _MAX_PAGE_SIZE)
        found = search.find(self.get_queryset(), query, now=database_time(), before=before, size=size)
        link = found.before and replace_query_param(request.build_absolute_uri(), "cursor", str(found.before))
        rows = TaskSummarySerializer(found.tasks, many=True).data
        return Response({"next": link, "previous": None, "searched_to": found.before, "results": rows})


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name) or str(default)
    if _CURSOR.fullmatch(text) and int(text) <= most:
        return int(text)
    hint = "Take it unchanged from next." if name == "cursor" else f"Give a whole number from 1 to {most}."
    raise ValidationError({name: [hint]})
