from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
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
from campaigns.api.error_file import error_file
from campaigns.api.given import asked, validated
from campaigns.api.views import ID
from campaigns.intake import read_options
from campaigns.models import Campaign, RecipientImport
from queue_core.api.actor import actor
from queue_core.api.csv_answer import AnyMediaType


class Imports(mixins.RetrieveModelMixin, GenericViewSet[RecipientImport]):
    """A file imported into a campaign: its progress, and what became of its rows."""

    queryset = RecipientImport.objects.select_related("created_by").order_by("-id")
    serializer_class = lists.ImportSerializer
    lookup_value_regex = ID
    needs = {
        **dict.fromkeys(("list", "retrieve", "errors", "sample"), "campaigns.view_recipient"),
        **dict.fromkeys(("create", "partial_update", "check", "start", "cancel"), "campaigns.add_recipient"),
    }

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action == "partial_update":
            return lists.ReadingSerializer
        return shapes.NoFields if self.action in ("cancel", "check", "start") else lists.ImportSerializer

    @extend_schema(request=lists.ReadingSerializer, responses=lists.ImportSerializer)
    def partial_update(self, request: Request, pk: str, campaign: str = "") -> Response:
        """Read a file that was kept in another way: what is left out is found anew. 409 once it has begun."""
        found = self.get_object()
        given = validated(self.get_serializer(data=request.data))
        made = services.edit_import(found, read_options(**given), by=actor(request))
        return Response(lists.ImportSerializer(made).data)

    @extend_schema(responses=lists.SampleSerializer)
    @action(detail=True)
    def sample(self, request: Request, pk: str, campaign: str = "") -> Response:
        """The first rows of a file that was kept, and what its columns become."""
        sample = services.import_sample(self.get_object())
        rows = [{"line": line, "cells": cells, "reason": reason} for line, cells, reason in sample.rows()]
        shown = {"columns": sample.targets(), "problem": sample.problem, "rows": rows}
        return Response(lists.SampleSerializer(shown).data)

    @extend_schema(request=shapes.NoFields, responses={202: lists.ImportSerializer})
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str, campaign: str = "") -> Response:
        """Count in the background what an import would do; then `state` is uploaded again and `checked` tells."""
        found = self.get_object()
        validated(self.get_serializer(data=request.data))
        return Response(lists.ImportSerializer(services.check_import(found)).data, status=202)

    @extend_schema(request=shapes.NoFields, responses={202: lists.ImportSerializer})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str, campaign: str = "") -> Response:
        """Import a file that was kept, or go on with an import that failed."""
        found = self.get_object()
        validated(self.get_serializer(data=request.data))
        return Response(lists.ImportSerializer(services.begin_import(found, by=actor(request))).data, status=202)

    @extend_schema(request=shapes.NoFields, responses=lists.ImportSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str, campaign: str = "") -> Response:
        """Import no further row; those imported so far stay. 409 when it is over."""
        found = self.get_object()
        validated(self.get_serializer(data=request.data))
        return Response(lists.ImportSerializer(services.cancel_import(found, by=actor(request))).data)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=True, content_negotiation_class=AnyMediaType)
    def errors(self, request: Request, pk: str, campaign: str = "") -> HttpResponseBase:
        """The rows that were not imported, as CSV."""
        return error_file(self.get_object())


class CampaignImports(mixins.ListModelMixin, Imports):
    """Files imported into a campaign: their progress, and what became of their rows."""

    ordering_fields = ["id"]

    def get_queryset(self) -> QuerySet[RecipientImport]:
        campaign = get_object_or_404(Campaign, pk=self.kwargs["campaign"])
        return super().get_queryset().filter(campaign=campaign)

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return lists.StartImportSerializer if self.action == "create" else super().get_serializer_class()

    @extend_schema(
        request={"multipart/form-data": lists.StartImportSerializer}, responses={202: lists.ImportSerializer}
    )
    def create(self, request: Request, campaign: str) -> Response:
        """Import a file into a draft in the background; with `start` false only keep it to be looked at."""
        found = get_object_or_404(Campaign, pk=campaign)
        given = asked(request, lists.StartImportSerializer)
        upload = given.pop("file")
        verb = services.start_import if given.pop("start") else services.upload_import
        made = verb(found, upload.file, filename=upload.name, options=read_options(**given), by=actor(request))
        return Response(lists.ImportSerializer(made).data, status=202)
