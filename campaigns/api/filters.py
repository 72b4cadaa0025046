from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from campaigns.addresses import address_key, search_prefix
from campaigns.models import Campaign, Recipient, Suppression
from campaigns.states import CampaignState, RecipientState, SuppressionReason
from queue_core.api.filters import AnyStateFilter, AnyTextFilter, WholeNumberFilter


class CampaignFilter(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=CampaignState)
    state__in = AnyStateFilter(field_name="state", lookup_expr="in", choices=CampaignState)
    name = filters.CharFilter()
    template = WholeNumberFilter(field_name="template_id")
    created_at__gte = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_at__lt = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    scheduled_at__gte = filters.IsoDateTimeFilter(field_name="scheduled_at", lookup_expr="gte")
    scheduled_at__lt = filters.IsoDateTimeFilter(field_name="scheduled_at", lookup_expr="lt")
    launched_at__gte = filters.IsoDateTimeFilter(field_name="launched_at", lookup_expr="gte")
    launched_at__lt = filters.IsoDateTimeFilter(field_name="launched_at", lookup_expr="lt")
    finished_at__gte = filters.IsoDateTimeFilter(field_name="finished_at", lookup_expr="gte")
    finished_at__lt = filters.IsoDateTimeFilter(field_name="finished_at", lookup_expr="lt")

    class Meta:
        model = Campaign
        fields: list[str] = []


class AddressFilter(filters.CharFilter):  # type: ignore[misc]
    """`?email=`, however it is spelt."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return qs.filter(key=address_key(value)) if value else qs


class AnyAddressFilter(AnyTextFilter):
    """`?email__in=ada@example.com,bob@example.com`"""

    def filter(self, qs: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        return qs.filter(key__in=[address_key(text.strip()) for text in value]) if value else qs


class AnyReasonFilter(filters.BaseInFilter, filters.ChoiceFilter):  # type: ignore[misc]
    """`?reason__in=bounced,complained`"""


class _ByAddress(filters.FilterSet):  # type: ignore[misc]
    """Of people, by the index of their keys."""

    email = AddressFilter()
    email__in = AnyAddressFilter()
    search = filters.CharFilter(method="begins_with", label="How the address begins; sorts by it")

    def begins_with(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(key__startswith=search_prefix(value)).order_by("key")


class RecipientFilter(_ByAddress):
    state = filters.ChoiceFilter(choices=RecipientState)
    state__in = AnyStateFilter(field_name="state", lookup_expr="in", choices=RecipientState)

    class Meta:
        model = Recipient
        fields: list[str] = []


class SuppressionFilter(_ByAddress):
    reason = filters.ChoiceFilter(choices=SuppressionReason)
    reason__in = AnyReasonFilter(field_name="reason", lookup_expr="in", choices=SuppressionReason)
    created_at__gte = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_at__lt = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Suppression
        fields: list[str] = []
