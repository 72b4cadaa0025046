from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from campaigns import services
from campaigns.api.given import validated
from campaigns.api.views import ID
from campaigns.models import DomainLimit
from queue_core.api.actor import actor


class DomainLimitSerializer(serializers.ModelSerializer[DomainLimit]):
    class Meta:
        model = DomainLimit
        fields = ["id", "domain", "rate_count", "rate_seconds", "created_at"]
        read_only_fields = fields


class EditDomainLimitSerializer(serializers.Serializer[Any]):
    rate_count = serializers.IntegerField(help_text="mails at most …")
    rate_seconds = serializers.IntegerField(default=60, help_text="… in so many seconds")


class AddDomainLimitSerializer(EditDomainLimitSerializer):
    domain = serializers.CharField(max_length=253, help_text="of recipients")


class DomainLimitViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[DomainLimit]):
    """How fast mail goes to the addresses of a domain, over all campaigns, transports and workers."""

    queryset = DomainLimit.objects.order_by("-id")
    serializer_class = DomainLimitSerializer
    ordering_fields = ["id", "domain"]
    lookup_value_regex = ID

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        forms: dict[str, type[BaseSerializer[Any]]] = {
            "create": AddDomainLimitSerializer,
            "partial_update": EditDomainLimitSerializer,
        }
        return forms.get(self.action, DomainLimitSerializer)

    @extend_schema(request=AddDomainLimitSerializer, responses={201: DomainLimitSerializer})
    def create(self, request: Request) -> Response:
        """Limit a domain, also for what is under way."""
        given = validated(self.get_serializer(data=request.data))
        return Response(DomainLimitSerializer(services.limit_domain(**given, by=actor(request))).data, status=201)

    @extend_schema(request=EditDomainLimitSerializer, responses=DomainLimitSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change how fast; heard within a second."""
        row = self.get_object()
        given = validated(self.get_serializer(data=request.data, partial=True))
        return Response(DomainLimitSerializer(services.edit_domain_limit(row, **given, by=actor(request))).data)

    def destroy(self, request: Request, pk: str) -> Response:
        """Let mail go there as fast as anywhere."""
        services.delete_domain_limit(self.get_object(), by=actor(request))
        return Response(status=204)
