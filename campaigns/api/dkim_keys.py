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
from campaigns.models import DkimKey
from campaigns.states import DkimAlgorithm
from queue_core.api.actor import actor


class DkimKeySerializer(serializers.ModelSerializer[DkimKey]):
    """Everything but the private key, which is never shown. Publish `record` as TXT at `record_name`."""

    record_name = serializers.CharField(read_only=True)
    record = serializers.CharField(read_only=True)

    class Meta:
        model = DkimKey
        fields = [
            "id",
            "domain",
            "selector",
            "algorithm",
            "enabled",
            "secret_env",
            "record_name",
            "record",
            "created_at",
        ]
        read_only_fields = fields


class DkimKeyFormSerializer(serializers.Serializer[Any]):
    """Without `private_key` and `secret_env` a key is made."""

    domain = serializers.CharField(max_length=253, help_text="of the From address")
    selector = serializers.CharField(max_length=63)
    algorithm = serializers.ChoiceField(choices=DkimAlgorithm.choices, required=False, help_text="of a key made here")
    private_key = serializers.CharField(
        max_length=10_000, required=False, allow_blank=True, write_only=True, help_text="PEM, without a passphrase"
    )
    secret_env = serializers.CharField(max_length=100, required=False, allow_blank=True)


class DkimKeySwitchSerializer(serializers.Serializer[Any]):
    enabled = serializers.BooleanField()


class DkimKeyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[DkimKey]):
    """What signs the mail of a sender's domain."""

    queryset = DkimKey.objects.order_by("-id")
    serializer_class = DkimKeySerializer
    ordering_fields = ["id", "domain"]
    lookup_value_regex = ID

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        forms: dict[str, type[BaseSerializer[Any]]] = {
            "create": DkimKeyFormSerializer,
            "partial_update": DkimKeySwitchSerializer,
        }
        return forms.get(self.action, DkimKeySerializer)

    @extend_schema(request=DkimKeyFormSerializer, responses={201: DkimKeySerializer})
    def create(self, request: Request) -> Response:
        """Sign all mail from addresses of a domain; publish the record of the answer in DNS first."""
        given = validated(self.get_serializer(data=request.data))
        return Response(DkimKeySerializer(services.add_dkim_key(**given, by=actor(request))).data, status=201)

    @extend_schema(request=DkimKeySwitchSerializer, responses=DkimKeySerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Let a key sign, or not."""
        row = self.get_object()
        given = validated(self.get_serializer(data=request.data))
        services.switch_dkim_key(row, **given, by=actor(request))
        return Response(DkimKeySerializer(row).data)

    def destroy(self, request: Request, pk: str) -> Response:
        """Remove a key; leave its record in DNS for some days."""
        services.delete_dkim_key(self.get_object(), by=actor(request))
        return Response(status=204)
