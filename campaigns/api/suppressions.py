from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from campaigns import services
from campaigns.api import import_serializers as lists
from campaigns.api import serializers as shapes
from campaigns.api.filters import SuppressionFilter
from campaigns.api.given import asked, upload_of, validated
from campaigns.api.parsers import Csv, Tsv, Xlsx
from campaigns.api.views import ID
from campaigns.intake import read_options
from campaigns.models import Suppression
from queue_core.api.actor import actor
from queue_core.api.csv_answer import AnyMediaType, csv_answer


class SuppressionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Suppression]):
    """Addresses that are never mailed, whatever the campaign."""

    queryset = Suppression.objects.order_by("-id")
    serializer_class = shapes.SuppressionSerializer
    filterset_class = SuppressionFilter
    ordering_fields = ["id"]
    lookup_value_regex = ID
    needs = {"import_list": "campaigns.add_suppression", "export": "campaigns.view_suppression"}
    parser_classes = [*GenericViewSet.parser_classes, Csv, Tsv, Xlsx]

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action == "partial_update":
            return shapes.EditSuppressionSerializer
        return shapes.SuppressSerializer if self.action == "create" else shapes.SuppressionSerializer

    @extend_schema(
        request=shapes.SuppressSerializer,
        responses={201: shapes.SuppressionSerializer, 200: shapes.SuppressionSerializer},
    )
    def create(self, request: Request) -> Response:
        """Never mail an address again. 200 with the entry there is when it is on the list already."""
        entry, created = services.suppress(**validated(self.get_serializer(data=request.data)), by=actor(request))
        return Response(shapes.SuppressionSerializer(entry).data, status=201 if created else 200)

    @extend_schema(request=shapes.EditSuppressionSerializer, responses=shapes.SuppressionSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change why an address is on the list, or where it came from; what is left out stays."""
        entry = self.get_object()
        given = validated(self.get_serializer(data=request.data, partial=True))
        made = services.edit_suppression(entry, **given, by=actor(request))
        return Response(shapes.SuppressionSerializer(made).data)

    def destroy(self, request: Request, pk: str) -> Response:
        """Take an address off the list."""
        services.unsuppress(self.get_object(), by=actor(request))
        return Response(status=204)

    @extend_schema(
        parameters=[lists.SuppressionListSerializer],
        request={
            "text/csv": OpenApiTypes.STR,
            Tsv.media_type: OpenApiTypes.STR,
            Xlsx.media_type: OpenApiTypes.BINARY,
            "multipart/form-data": lists.SuppressionFormSerializer,
        },
        responses={201: lists.SuppressionReportSerializer, 200: lists.SuppressionReportSerializer},
    )
    @action(detail=False, methods=["post"], url_path="import", filterset_class=None, pagination_class=None)
    def import_list(self, request: Request) -> Response:
        """Put the addresses of a file on the list; 200, and nothing written, with `dry_run`."""
        reading = asked(request, lists.SuppressionListSerializer)
        given = {name: reading.pop(name) for name in ("dry_run", "reason", "source")}
        upload = upload_of(request)
        report = services.import_suppressions(upload, options=read_options(**reading), by=actor(request), **given)
        shown = lists.SuppressionReportSerializer(report).data
        return Response(shown, status=200 if given["dry_run"] else 201)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=False, content_negotiation_class=AnyMediaType, pagination_class=None)
    def export(self, request: Request) -> HttpResponseBase:
        """The list as it is filtered, as CSV."""
        found = self.filter_queryset(self.get_queryset())
        return csv_answer(services.export_suppressions(found), "suppressions.csv")
