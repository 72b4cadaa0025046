from typing import Any, cast

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from campaigns import breaker, services
from campaigns.api.given import validated
from campaigns.api.serializers import NoFields
from campaigns.api.views import ID
from campaigns.models import MailBreaker, MailTransport
from campaigns.states import Security, TransportKind
from queue_core.api.actor import actor


class BreakerSerializer(serializers.Serializer[MailBreaker]):
    """Whether the mail server took our mail the last time; see the guide to sending."""

    state = serializers.SerializerMethodField(help_text="closed: it is used; open: it waits, and then one chunk tries")
    failures = serializers.IntegerField(help_text="refusals of us in a row")
    reason = serializers.CharField(help_text="what the mail server said")
    open_until = serializers.DateTimeField(allow_null=True, help_text="when one chunk tries again")

    @extend_schema_field(serializers.ChoiceField(choices=["closed", "open"]))
    def get_state(self, found: MailBreaker) -> str:
        return "open" if found.open_until else "closed"


class _Transports(serializers.ListSerializer[MailTransport]):
    """Looks up the breakers of all of them at once."""

    def to_representation(self, data: Any) -> list[Any]:
        rows, one = list(data), cast(TransportSerializer, self.child)
        one.troubles = breaker.troubles([row.breaker_key for row in rows])
        return super().to_representation(rows)


class TransportSerializer(serializers.ModelSerializer[MailTransport]):
    """Everything but the secret, which is never shown."""

    has_secret = serializers.SerializerMethodField()
    breaker = serializers.SerializerMethodField()
    troubles: dict[str, MailBreaker] | None = None

    class Meta:
        model = MailTransport
        list_serializer_class = _Transports
        fields = [
            *("id", "name", "kind", "priority", "enabled", "host", "port", "security", "verify", "username"),
            *("has_secret", "secret_env", "backend", "options", "connections", "pipelining", "max_messages", "timeout"),
            *("rate_count", "rate_seconds", "breaker", "created_at"),
        ]
        read_only_fields = fields

    def get_has_secret(self, row: MailTransport) -> bool:
        return bool(row.secret)

    @extend_schema_field(BreakerSerializer)
    def get_breaker(self, row: MailTransport) -> dict[str, Any]:
        key = row.breaker_key
        troubles = breaker.troubles([key]) if self.troubles is None else self.troubles
        return dict(BreakerSerializer(troubles.get(key, MailBreaker(key=key))).data)


class TransportFormSerializer(serializers.Serializer[Any]):
    """Give `host` for an SMTP server, `backend` and `options` for a Django e-mail backend."""

    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(choices=TransportKind.choices, required=False)
    priority = serializers.IntegerField(required=False, help_text="the lowest is used first")
    enabled = serializers.BooleanField(required=False)
    host = serializers.CharField(max_length=255, required=False, allow_blank=True)
    port = serializers.IntegerField(required=False)
    security = serializers.ChoiceField(choices=Security.choices, required=False)
    verify = serializers.BooleanField(required=False)
    username = serializers.CharField(max_length=255, required=False, allow_blank=True)
    secret = serializers.CharField(
        max_length=10_000, required=False, allow_blank=True, trim_whitespace=False, write_only=True
    )
    secret_env = serializers.CharField(max_length=100, required=False, allow_blank=True)
    backend = serializers.CharField(max_length=200, required=False, allow_blank=True)
    options = serializers.DictField(required=False, help_text="a value “$secret” is replaced by the secret")
    connections = serializers.IntegerField(required=False)
    pipelining = serializers.BooleanField(required=False)
    max_messages = serializers.IntegerField(required=False)
    timeout = serializers.FloatField(required=False)
    rate_count = serializers.IntegerField(required=False, allow_null=True, help_text="mails at most …")
    rate_seconds = serializers.IntegerField(required=False, allow_null=True, help_text="… in so many seconds")


class CheckSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    lines = serializers.ListField(child=serializers.CharField(), help_text="what the server offers, or the error")


class TransportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[MailTransport]):
    """The ways out for mail: SMTP servers and Django e-mail backends."""

    queryset = MailTransport.objects.order_by("-id")
    serializer_class = TransportSerializer
    ordering_fields = ["id", "name", "priority"]
    lookup_value_regex = ID
    needs = dict.fromkeys(("check", "reset"), "campaigns.change_mailtransport")

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action in ("create", "partial_update"):
            return TransportFormSerializer
        return NoFields if self.request and self.request.method == "POST" else TransportSerializer

    @extend_schema(request=TransportFormSerializer, responses={201: TransportSerializer})
    def create(self, request: Request) -> Response:
        """Add a transport; used by the chunks that begin from now on."""
        given = validated(self.get_serializer(data=request.data))
        return Response(TransportSerializer(services.save_transport(**given, by=actor(request))).data, status=201)

    @extend_schema(request=TransportFormSerializer, responses=TransportSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a transport; a `secret` that is not given stays."""
        row = self.get_object()
        given = validated(self.get_serializer(data=request.data, partial=True))
        return Response(TransportSerializer(services.save_transport(row, **given, by=actor(request))).data)

    def destroy(self, request: Request, pk: str) -> Response:
        """Remove a transport that no campaign names."""
        services.delete_transport(self.get_object(), by=actor(request))
        return Response(status=204)

    @extend_schema(request=NoFields, responses=CheckSerializer)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str) -> Response:
        """Connect and log in, mail nothing; says what the server offers, or the exact error."""
        row = self.get_object()
        validated(self.get_serializer(data=request.data))
        ok, lines = services.check_transport(row)
        return Response({"ok": ok, "lines": lines})

    @extend_schema(request=NoFields, responses=TransportSerializer)
    @action(detail=True, methods=["post"])
    def reset(self, request: Request, pk: str) -> Response:
        """Use it again at once, although it refused our mail."""
        row = self.get_object()
        validated(self.get_serializer(data=request.data))
        services.reset_transport(row, by=actor(request))
        return Response(TransportSerializer(row).data)
