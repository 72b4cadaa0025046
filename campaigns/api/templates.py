"""Templates where there are campaigns: previewed as a recipient would get them, and tried out."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from campaigns import services
from campaigns.api.given import demand, validated
from campaigns.api.messages import ID_FIELD, TestOutcomeSerializer, TestSendSerializer
from campaigns.message import MessageError
from campaigns.models import Recipient
from queue_core.api.actor import actor
from templates_app.api.permissions import LookPermissions
from templates_app.api.serializers import PreviewSerializer
from templates_app.api.translation import refusals
from templates_app.api.views import TemplateViewSet


class _OneSource(serializers.Serializer[Any]):
    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("context") and given.get("recipient"):
            raise serializers.ValidationError({"recipient": ["Give a context or a recipient, not both."]})
        return given


class RecipientPreviewSerializer(_OneSource, PreviewSerializer):
    recipient = serializers.IntegerField(**ID_FIELD, help_text="whose values fill it, instead of a context")


class TemplateTestSerializer(_OneSource, TestSendSerializer):
    context = serializers.DictField(required=False, help_text="in the place of sample values")  # type: ignore[assignment]
    from_email = serializers.CharField(
        max_length=320, allow_blank=True, default="", help_text="who sent it last, if left out"
    )


class CampaignTemplateViewSet(TemplateViewSet):
    """Mail templates and their versions."""

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        forms = {"preview": RecipientPreviewSerializer, "test_send": TemplateTestSerializer}
        return forms.get(self.action) or super().get_serializer_class()

    @action(detail=True, methods=["post"], permission_classes=[LookPermissions])
    def preview(self, request: Request, pk: str) -> Response:  # type: ignore[override]  # the same action, wider
        """The mail made with a context, or as a recipient would get it."""
        template = self.get_object()
        given = validated(self.get_serializer(data=request.data))
        recipient = _recipient(request, given.pop("recipient", None))
        with refusals():
            try:
                mail = services.preview_template(template, recipient=recipient, **given)
            except MessageError as exc:
                raise ValidationError({"recipient": [f"The mail cannot be made: {exc}"]}) from None
        return Response(asdict(mail))

    @extend_schema(request=TemplateTestSerializer, responses=TestOutcomeSerializer(many=True))
    @action(detail=True, methods=["post"], url_path="test-send", permission_classes=[LookPermissions])
    def test_send(self, request: Request, pk: str) -> Response:
        """Send it to up to ten addresses now, and tell what the mail server said."""
        template = self.get_object()
        demand(request, "campaigns.launch_campaign")
        given = validated(self.get_serializer(data=request.data))
        recipient = _recipient(request, given.pop("recipient", None))
        to = given.pop("to")
        outcomes = services.send_template_test(template, to, recipient=recipient, **given, by=actor(request))
        return Response(TestOutcomeSerializer(outcomes, many=True).data)


def _recipient(request: Request, pk: int | None) -> Recipient | None:
    if pk is None:
        return None
    demand(request, "campaigns.view_recipient")
    found = Recipient.objects.select_related("campaign__template__current_version").filter(pk=pk).first()
    if found is None:
        raise NotFound(f"There is no recipient {pk}.")
    return found
