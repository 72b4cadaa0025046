"""A campaign as a whole: its numbers, its ledger as a file, a copy of it, its chunks."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from campaigns import services
from campaigns.api.given import asked, validated
from campaigns.api.serializers import CampaignSerializer
from campaigns.models import Campaign, CampaignTask
from campaigns.states import RecipientState
from queue_core.api.actor import actor
from queue_core.api.csv_answer import AnyMediaType, csv_answer


class DomainSerializer(serializers.Serializer[Any]):
    domain = serializers.CharField()
    recipients = serializers.IntegerField()
    sent = serializers.IntegerField()
    deferred = serializers.IntegerField()
    refused = serializers.IntegerField(help_text="rejected or bounced")


class LinkSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(help_text="for `link` of events/: who clicked it")
    url = serializers.CharField()
    clicks = serializers.IntegerField()
    people = serializers.IntegerField(help_text="recipients who clicked it")


class CampaignStatsSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    states = serializers.DictField(child=serializers.IntegerField())
    events = serializers.DictField(child=serializers.IntegerField())
    hours = serializers.ListField(child=serializers.DictField(), help_text="`hour` and a number for each kind")
    domains = DomainSerializer(many=True)
    domains_of = serializers.IntegerField(help_text="so many recipients were looked at for the domains")
    more_domains = serializers.BooleanField(help_text="there are others than the largest")
    links = LinkSerializer(many=True, help_text="the tracked ones, what most people clicked first")
    more_links = serializers.BooleanField(help_text="there are others than these")


class DuplicateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200, allow_blank=True, default="", help_text="Copy of … if left out")
    recipients = serializers.BooleanField(default=False, help_text="to the same people, none of them mailed yet")


class ExportQuerySerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=RecipientState.choices, required=False)


class LackingQuerySerializer(serializers.Serializer[Any]):
    variable = serializers.CharField(max_length=500, help_text="such as recipient.first_name")


class FigureActions:
    """Of the campaigns' view set."""

    @extend_schema(responses=CampaignStatsSerializer)
    @action(detail=True)
    def stats(self, request: Request, pk: str) -> Response:
        """Numbers by state, event, hour, domain and link."""
        campaign: Campaign = self.get_object()  # type: ignore[attr-defined]
        return Response(CampaignStatsSerializer(services.campaign_stats(campaign)).data)

    @extend_schema(parameters=[ExportQuerySerializer], responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=True, content_negotiation_class=AnyMediaType)
    def export(self, request: Request, pk: str) -> HttpResponseBase:
        """The ledger, one row per recipient, as CSV."""
        campaign: Campaign = self.get_object()  # type: ignore[attr-defined]
        given = asked(request, ExportQuerySerializer)
        lines = services.export_campaign(campaign, state=given.get("state", ""))
        return csv_answer(lines, f"campaign-{campaign.pk}.csv")

    @extend_schema(parameters=[LackingQuerySerializer], responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=True, content_negotiation_class=AnyMediaType)
    def lacking(self, request: Request, pk: str) -> HttpResponseBase:
        """Who lacks a value that the template needs, as CSV."""
        campaign: Campaign = self.get_object()  # type: ignore[attr-defined]
        variable = asked(request, LackingQuerySerializer)["variable"]
        return csv_answer(services.export_lacking(campaign, variable), f"campaign-{campaign.pk}-lacking.csv")

    @extend_schema(request=DuplicateSerializer, responses={201: CampaignSerializer})
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, pk: str) -> Response:
        """A new draft that says the same, with or without its recipients."""
        campaign: Campaign = self.get_object()  # type: ignore[attr-defined]
        given = validated(DuplicateSerializer(data=request.data))
        if given["recipients"] and not request.user.has_perm("campaigns.add_recipient"):
            raise PermissionDenied("Copying the recipients needs the permission to add recipients.")
        made = services.duplicate_campaign(campaign, **given, by=actor(request))
        return Response(CampaignSerializer(made).data, status=201)


class ChunkSerializer(serializers.ModelSerializer[CampaignTask]):
    state = serializers.CharField(source="task.state", default=None, help_text="of its task; null when that is pruned")

    class Meta:
        model = CampaignTask
        fields = ["id", "task", "state", "first_id", "last_id", "size"]


class CampaignTasks(mixins.ListModelMixin, GenericViewSet[CampaignTask]):
    """The chunks of a launched campaign, each a range of recipients that one task of the queue works off."""

    queryset = CampaignTask.objects.select_related("task").order_by("-id")
    serializer_class = ChunkSerializer
    ordering_fields = ["id"]
    needs = {"list": "campaigns.view_campaign"}

    def get_queryset(self) -> QuerySet[CampaignTask]:
        return super().get_queryset().filter(campaign=get_object_or_404(Campaign, pk=self.kwargs["campaign"]))
