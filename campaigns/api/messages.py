"""What a campaign's mails look like, and trying one."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns import services
from campaigns.api.given import asked, demand, validated
from campaigns.models import Campaign, Recipient
from campaigns.services.send_test import ADDRESSES_MAX
from queue_core.api.actor import actor

_SEE_PEOPLE = "campaigns.view_recipient"
ID_FIELD: dict[str, Any] = {"min_value": 1, "max_value": 2**63 - 1, "required": False, "allow_null": True}


class PreviewQuerySerializer(serializers.Serializer[Any]):
    recipient = serializers.IntegerField(**ID_FIELD, help_text="id; without one, somebody made up")


class HeaderSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    value = serializers.CharField()


class MessagePreviewSerializer(serializers.Serializer[Any]):
    to = serializers.CharField()
    subject = serializers.CharField()
    headers = serializers.SerializerMethodField()
    html = serializers.CharField()
    text = serializers.CharField()
    size = serializers.IntegerField(help_text="bytes as sent")
    warnings = serializers.ListField(child=serializers.CharField())
    problem = serializers.CharField(help_text="why it cannot be made, or empty")

    @extend_schema_field(HeaderSerializer(many=True))
    def get_headers(self, shown: services.MessagePreview) -> list[dict[str, str]]:
        return [{"name": name, "value": value} for name, value in shown.headers]


class TestSendSerializer(serializers.Serializer[Any]):
    __test__ = False  # no test of pytest's

    to = serializers.ListField(child=serializers.CharField(max_length=320), min_length=1, max_length=ADDRESSES_MAX)
    recipient = serializers.IntegerField(**ID_FIELD, help_text="whose mail; without one, that of somebody made up")


class TestOutcomeSerializer(serializers.Serializer[Any]):
    __test__ = False

    to = serializers.CharField()
    accepted = serializers.BooleanField()
    detail = serializers.CharField(help_text="what the mail server said")


class MessageActions:
    """Of the campaigns' view set."""

    @extend_schema(parameters=[PreviewQuerySerializer], responses=MessagePreviewSerializer)
    @action(detail=True)
    def preview(self, request: Request, pk: str) -> Response:
        """The very mail that a recipient would get."""
        campaign: Campaign = self.get_object()  # type: ignore[attr-defined]
        given = asked(request, PreviewQuerySerializer)
        shown = services.preview_message(campaign, _recipient(campaign, given.get("recipient")))
        return Response(MessagePreviewSerializer(shown).data)

    @extend_schema(request=TestSendSerializer, responses=TestOutcomeSerializer(many=True))
    @action(detail=True, methods=["post"], url_path="test-send")
    def test_send(self, request: Request, pk: str) -> Response:
        """Send it to up to ten addresses now, and tell what the mail server said."""
        campaign: Campaign = self.get_object()  # type: ignore[attr-defined]
        given = validated(TestSendSerializer(data=request.data))
        if given.get("recipient"):
            demand(request, _SEE_PEOPLE)  # their mail holds what is known of them, and goes anywhere
        recipient = _recipient(campaign, given.get("recipient"))
        outcomes = services.send_test(campaign, given["to"], recipient=recipient, by=actor(request))
        return Response(TestOutcomeSerializer(outcomes, many=True).data)


def _recipient(campaign: Campaign, pk: int | None) -> Recipient | None:
    found = Recipient.objects.filter(campaign=campaign, pk=pk).first() if pk else None
    if pk and found is None:
        raise NotFound(f"There is no recipient {pk} in this campaign.")
    return found
