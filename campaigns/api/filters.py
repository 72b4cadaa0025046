from django.db.models import QuerySet
from django_filters import rest_framework as filters

from campaigns.models import Campaign, Recipient, Suppression
from campaigns.states import CampaignState, RecipientState, SuppressionReason
from queue_core.api.filters import AnyStateFilter, WholeNumberFilter


class CampaignFilter(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=CampaignState)
    state__in = AnyStateFilter(field_name="state", lookup_expr="in", choices=CampaignState)
    name = filters.CharFilter()
    template = WholeNumberFilter(field_name="template_id")
    created_at__gte = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_at__lt = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Campaign
        fields: list[str] = []


class AddressFilter(filters.CharFilter):  # type: ignore[misc]
    """`?email=`, whatever its capitals."""

    def filter(self, qs: QuerySet[Recipient], value: str) -> QuerySet[Recipient]:
        return qs.filter(key=value.lower()) if value else qs


class RecipientFilter(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=RecipientState)
    state__in = AnyStateFilter(field_name="state", lookup_expr="in", choices=RecipientState)
    email = AddressFilter()

    class Meta:
        model = Recipient
        fields: list[str] = []


class SuppressionFilter(filters.FilterSet):  # type: ignore[misc]
    reason = filters.ChoiceFilter(choices=SuppressionReason)
    email = AddressFilter()

    class Meta:
        model = Suppression
        fields: list[str] = []
