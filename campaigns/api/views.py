from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from campaigns import services
from campaigns.api import import_serializers as lists
from campaigns.api import serializers as shapes
from campaigns.api.figures import DuplicateSerializer, FigureActions
from campaigns.api.filters import CampaignFilter, RecipientFilter
from campaigns.api.given import asked, upload_of, validated
from campaigns.api.messages import MessageActions, TestSendSerializer
from campaigns.api.parsers import Csv, Tsv, Xlsx
from campaigns.errors import NotUnconfirmed
from campaigns.intake import read_options
from campaigns.models import Campaign, Recipient
from campaigns.wall_clock import at_wall_clock
from queue_core.api.actor import actor

# A URL that no id can have is a 404 of the routing.
ID = "[0-9]{1,19}"
_LAUNCH = "campaigns.launch_campaign"


class CampaignViewSet(
    MessageActions, FigureActions, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Campaign]
):
    """Campaigns: a template, an audience, and the verbs that send it."""

    queryset = Campaign.objects.select_related("template_version", "launched_by").order_by("-id")
    serializer_class = shapes.CampaignSerializer
    filterset_class = CampaignFilter
    search_fields = ["name"]
    ordering_fields = ["id", "name", "created_at"]
    lookup_value_regex = ID
    needs = {
        **dict.fromkeys(("launch", "start", "pause", "cancel", "retry_failed", "schedule", "unschedule"), _LAUNCH),
        "preflight": "campaigns.view_campaign",
        "preview": "campaigns.view_recipient",
        "test_send": _LAUNCH,
        "stats": "campaigns.view_campaign",
        "export": "campaigns.view_recipient",
        "lacking": "campaigns.view_recipient",
        "duplicate": "campaigns.add_campaign",
    }

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action in ("create", "partial_update"):
            return shapes.EditCampaignSerializer
        if self.action == "schedule":
            return shapes.ScheduleCampaignSerializer
        if self.action == "duplicate":
            return DuplicateSerializer
        if self.action == "test_send":
            return TestSendSerializer
        if self.action == "retry_failed":
            return shapes.RetryFailedSerializer
        return shapes.NoFields if self.request and self.request.method == "POST" else shapes.CampaignSerializer

    @extend_schema(request=shapes.EditCampaignSerializer, responses={201: shapes.CampaignSerializer})
    def create(self, request: Request) -> Response:
        """A new draft."""
        return self._shown(services.create_campaign(**self._given(request), by=actor(request)), 201)

    @extend_schema(request=shapes.EditCampaignSerializer, responses=shapes.CampaignSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a draft; after the launch its rate, and the time of one that is scheduled: all else is 409 then."""
        campaign = self.get_object()
        return self._shown(services.edit_campaign(campaign, **self._given(request, partial=True), by=actor(request)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Remove a draft, or one that is over, with its recipients and their outcomes."""
        services.delete_campaign(self.get_object(), by=actor(request))
        return Response(status=204)

    @extend_schema(request=shapes.NoFields, responses={202: shapes.CampaignSerializer})
    @action(detail=True, methods=["post"])
    def launch(self, request: Request, pk: str) -> Response:
        """Send a draft, once: now, or at its `scheduled_at`; 409 with `problems` when it is not ready."""
        campaign = self._verb(request)
        return self._shown(services.launch_as_planned(campaign, by=actor(request)), 202)

    @extend_schema(request=shapes.NoFields, responses={202: shapes.CampaignSerializer})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Launch a draft, or resume a paused campaign."""
        campaign = self._verb(request)
        return self._shown(services.start(campaign, by=actor(request)), 202)

    @extend_schema(request=shapes.ScheduleCampaignSerializer, responses=shapes.CampaignSerializer)
    @action(detail=True, methods=["post"])
    def schedule(self, request: Request, pk: str) -> Response:
        """Launch it by itself at a time; again with another time changes that. 409 with `problems` when not ready."""
        campaign, given = self.get_object(), self._given(request)
        at = at_wall_clock(given.pop("at"), given.get("timezone", campaign.timezone))
        return self._shown(services.schedule(campaign, at, **given, by=actor(request)))

    @extend_schema(request=shapes.NoFields, responses=shapes.CampaignSerializer)
    @action(detail=True, methods=["post"])
    def unschedule(self, request: Request, pk: str) -> Response:
        """Make a scheduled campaign a draft again."""
        return self._shown(services.unschedule(self._verb(request), by=actor(request)))

    @extend_schema(request=shapes.NoFields, responses=shapes.CampaignSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Stop sending within a second, until start."""
        return self._shown(services.pause(self._verb(request), by=actor(request)))

    @extend_schema(request=shapes.NoFields, responses=shapes.CampaignSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop for good; who was not mailed yet will not be."""
        return self._shown(services.cancel(self._verb(request), by=actor(request)))

    @extend_schema(request=shapes.RetryFailedSerializer, responses={202: shapes.ChangedSerializer})
    @action(detail=True, methods=["post"], url_path="retry-failed")
    def retry_failed(self, request: Request, pk: str) -> Response:
        """Mail the rejected ones again; with `hard` also those that a mail server refused for good."""
        campaign = self.get_object()
        outcome = services.retry_failed(campaign, **self._given(request), by=actor(request))
        return Response(shapes.ChangedSerializer(outcome).data, status=202)

    @extend_schema(methods=["GET"], responses=shapes.PreflightSerializer)
    @extend_schema(methods=["POST"], request=shapes.NoFields, responses=shapes.PreflightSerializer)
    @action(detail=True, methods=["get", "post"])
    def preflight(self, request: Request, pk: str) -> Response:
        """The checklist: what would go wrong, and what to mind, if it were launched now."""
        campaign = self.get_object() if request.method == "GET" else self._verb(request)
        return Response(shapes.PreflightSerializer(services.preflight(campaign)).data)

    @extend_schema(responses=shapes.StatusSerializer)
    @action(detail=True)
    def status(self, request: Request, pk: str) -> Response:
        """How far it has come."""
        return Response(shapes.StatusSerializer(services.status(self.get_object())).data)

    def _verb(self, request: Request) -> Campaign:
        campaign = self.get_object()
        self._given(request)
        return campaign

    def _given(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        return validated(self.get_serializer(data=request.data, partial=partial))

    def _shown(self, campaign: Campaign, status: int = 200) -> Response:
        return Response(shapes.CampaignSerializer(campaign).data, status=status)


class CampaignRecipients(mixins.ListModelMixin, GenericViewSet[Recipient]):
    """The recipients of one campaign."""

    queryset = Recipient.objects.order_by("-id")
    serializer_class = shapes.RecipientSerializer
    filterset_class = RecipientFilter
    ordering_fields = ["id"]
    parser_classes = [*GenericViewSet.parser_classes, Csv, Tsv, Xlsx]

    def get_queryset(self) -> QuerySet[Recipient]:
        return super().get_queryset().filter(campaign=self.campaign())

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return shapes.AddRecipientSerializer if self.action in ("create", "bulk") else shapes.RecipientSerializer

    def campaign(self) -> Campaign:
        return get_object_or_404(Campaign, pk=self.kwargs["campaign"])

    @extend_schema(
        request=shapes.AddRecipientSerializer,
        responses={201: shapes.RecipientSerializer, 200: shapes.RecipientSerializer},
    )
    def create(self, request: Request, campaign: str) -> Response:
        """Add one recipient to a draft. 200 with the one there is when the address is in the campaign already."""
        found = self.campaign()
        given = validated(self.get_serializer(data=request.data))
        report = services.add_recipients(found, [given], by=actor(request))
        if report.rejected:
            raise ValidationError({"attributes": [report.rejected[0].reason]})
        recipient = Recipient.objects.get(campaign=found, key=given["email"].lower())
        return _person(request, recipient, 201 if report.created else 200)

    @extend_schema(
        parameters=[lists.BulkQuerySerializer],
        request={
            "application/json": shapes.AddRecipientSerializer(many=True),
            "text/csv": OpenApiTypes.STR,
            Tsv.media_type: OpenApiTypes.STR,
            Xlsx.media_type: OpenApiTypes.BINARY,
            "multipart/form-data": lists.BulkFormSerializer,
        },
        responses={201: lists.ImportReportSerializer, 200: lists.ImportReportSerializer},
    )
    @action(detail=False, methods=["post"], filterset_class=None, pagination_class=None)
    def bulk(self, request: Request, campaign: str) -> Response:
        """Add the people of a JSON list or a file (CSV, TSV, XLSX) to a draft; 200, and nothing written, with
        `dry_run`."""
        found = self.campaign()
        people = request.data if isinstance(request.data, list) else None
        given = asked(request, lists.BulkQuerySerializer if people is None else lists.DryRunSerializer)
        dry_run = given.pop("dry_run")
        if people is not None:
            report = services.add_recipients(found, people, source="JSON list", by=actor(request), dry_run=dry_run)
        else:
            upload = upload_of(request)
            report = services.import_recipients(
                found,
                upload,
                filename=upload.name or "",
                by=actor(request),
                options=read_options(**given),
                dry_run=dry_run,
            )
        return Response(lists.ImportReportSerializer(report).data, status=200 if dry_run else 201)


class RecipientViewSet(mixins.RetrieveModelMixin, GenericViewSet[Recipient]):
    """One recipient and what became of the mail."""

    queryset = Recipient.objects.select_related("campaign")
    serializer_class = shapes.RecipientSerializer
    lookup_value_regex = ID
    needs = dict.fromkeys(("mark", "resend"), _LAUNCH)

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        if self.action == "partial_update":
            return shapes.EditRecipientSerializer
        return shapes.NoFields if self.request and self.request.method == "POST" else shapes.RecipientSerializer

    @extend_schema(request=shapes.EditRecipientSerializer, responses=shapes.RecipientSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change somebody in a draft; 409 after the launch."""
        recipient = self.get_object()
        given = validated(self.get_serializer(data=request.data, partial=True))
        return _person(request, services.edit_recipient(recipient, **given, by=actor(request)), 200)

    def destroy(self, request: Request, pk: str) -> Response:
        """Take somebody out of a draft; 409 after the launch."""
        services.remove_recipient(self.get_object(), by=actor(request))
        return Response(status=204)

    @extend_schema(request=shapes.NoFields, responses=shapes.RecipientSerializer)
    @action(detail=True, methods=["post"])
    def mark(self, request: Request, pk: str) -> Response:
        """Take an unconfirmed mail for sent."""
        return self._decide(request, services.mark_sent, 200)

    @extend_schema(request=shapes.NoFields, responses={202: shapes.RecipientSerializer})
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, pk: str) -> Response:
        """Mail an unconfirmed recipient again, who may get it twice."""
        return self._decide(request, services.send_again, 202)

    def _decide(self, request: Request, verb: Callable[..., Any], status: int) -> Response:
        recipient = self.get_object()
        validated(self.get_serializer(data=request.data))
        if not verb(recipient.campaign, [recipient.pk], by=actor(request)).changed:
            recipient.refresh_from_db()
            raise NotUnconfirmed(recipient.state)
        recipient.refresh_from_db()
        return _person(request, recipient, status)


def _person(request: Request, recipient: Recipient, status: int) -> Response:
    """Who may not see people hears which one it is and its state, not what is known of them."""
    may_see = request.user.has_perm("campaigns.view_recipient")
    shape = shapes.RecipientSerializer if may_see else shapes.UnseenRecipientSerializer
    return Response(shape(recipient).data, status=status)
