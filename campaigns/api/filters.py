from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from campaigns.addresses import address_key, search_prefix
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
    """`?email=`, however it is spelt."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return qs.filter(key=address_key(value)) if value else qs


class AddressBeginningFilter(filters.CharFilter):  # type: ignore[misc]
    """`?search=`, the beginning of an address: what the index of the keys can find."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return qs.filter(key__startswith=search_prefix(value)) if value else qs


class AnyReasonFilter(filters.BaseInFilter, filters.ChoiceFilter):  # type: ignore[misc]
    """`?reason__in=bounced,complained`"""


class RecipientFilter(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=RecipientState)
    state__in = AnyStateFilter(field_name="state", lookup_expr="in", choices=RecipientState)
    email = AddressFilter()
    search = AddressBeginningFilter(label="How an address begins")

    class Meta:
        model = Recipient
        fields: list[str] = []


class SuppressionFilter(filters.FilterSet):  # type: ignore[misc]
    reason = filters.ChoiceFilter(choices=SuppressionReason)
    reason__in = AnyReasonFilter(field_name="reason", lookup_expr="in", choices=SuppressionReason)
    email = AddressFilter()
    search = AddressBeginningFilter(label="How an address begins")
    created_at__gte = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_at__lt = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Suppression
        fields: list[str] = []
