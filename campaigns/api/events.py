"""What happened to the mails of a campaign."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from rest_framework import mixins, serializers
from rest_framework.viewsets import GenericViewSet

from campaigns.models import Campaign, CampaignEvent
from campaigns.states import EventKind
from queue_core.api.filters import AnyStateFilter, WholeNumberFilter


class EventSerializer(serializers.ModelSerializer[CampaignEvent]):
    class Meta:
        model = CampaignEvent
        fields = ["id", "recipient", "kind", "at", "code", "detail", "link"]


class EventFilter(filters.FilterSet):  # type: ignore[misc]
    kind = filters.ChoiceFilter(choices=EventKind)
    kind__in = AnyStateFilter(field_name="kind", lookup_expr="in", choices=EventKind)
    recipient = WholeNumberFilter(field_name="recipient_id")
    link = WholeNumberFilter(field_name="link_id")

    class Meta:
        model = CampaignEvent
        fields: list[str] = []


class CampaignEvents(mixins.ListModelMixin, GenericViewSet[CampaignEvent]):
    """Refusals, bounces, complaints, openings, clicks and unsubscriptions of a campaign, newest first."""

    queryset = CampaignEvent.objects.order_by("-id")
    serializer_class = EventSerializer
    filterset_class = EventFilter
    ordering_fields = ["id"]
    needs = {"list": "campaigns.view_recipient"}

    def get_queryset(self) -> QuerySet[CampaignEvent]:
        return super().get_queryset().filter(campaign=get_object_or_404(Campaign, pk=self.kwargs["campaign"]))
