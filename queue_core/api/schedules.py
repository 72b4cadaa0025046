from collections.abc import Callable
from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from queue_core import services
from queue_core.api.actor import actor
from queue_core.api.filters import TrueOrFalseFilter
from queue_core.api.serializers import NoFields, not_internal
from queue_core.api.views import ID
from queue_core.cron import MAX_INTERVAL, MAX_LENGTH
from queue_core.models import Schedule, ScheduleFire
from queue_core.services.submit import PRIORITIES
from queue_core.states import Missed, Overlap, Rhythm

UPCOMING_MAX = 100


class ScheduleSerializer(serializers.ModelSerializer[Schedule]):
    description = serializers.CharField(read_only=True, help_text="its rhythm in plain language")
    next_fire_at = serializers.SerializerMethodField(help_text="null while it is paused")

    class Meta:
        model = Schedule
        fields = [
            *("id", "name", "task", "payload", "queue", "priority", "max_attempts"),
            *("kind", "expression", "interval_seconds", "timezone", "starts_at", "description"),
            *("missed", "overlap", "jitter_seconds", "paused", "next_fire_at", "last_fire_at", "last_task"),
            *("created_at", "updated_at"),
        ]
        read_only_fields = fields

    def get_next_fire_at(self, schedule: Schedule) -> str | None:
        field = serializers.DateTimeField()
        return None if schedule.paused else field.to_representation(schedule.next_fire_at)


class ScheduleFormSerializer(serializers.Serializer[Any]):
    """Give `expression` (cron) or `interval_seconds`; null for the first three options: as the task has it."""

    name = serializers.CharField(max_length=200, help_text="no other schedule has it")
    task = serializers.CharField(
        max_length=200, validators=[not_internal], help_text="name of a registered task; see task-types"
    )
    payload = serializers.DictField(required=False, help_text="the arguments of each task")
    queue = serializers.CharField(max_length=64, required=False, allow_null=True)
    priority = serializers.IntegerField(
        min_value=PRIORITIES[0], max_value=PRIORITIES[-1], required=False, allow_null=True
    )
    max_attempts = serializers.IntegerField(min_value=1, max_value=1000, required=False, allow_null=True)
    kind = serializers.ChoiceField(choices=Rhythm.choices, required=False, help_text="follows from what is given")
    expression = serializers.CharField(
        max_length=MAX_LENGTH, required=False, allow_blank=True, help_text="cron of 5 or 6 fields, or such as @daily"
    )
    interval_seconds = serializers.IntegerField(min_value=1, max_value=MAX_INTERVAL, required=False, allow_null=True)
    timezone = serializers.CharField(max_length=64, required=False, help_text="such as Europe/Berlin; UTC if left out")
    starts_at = serializers.DateTimeField(
        required=False, help_text="no run before it, and intervals are counted from it; now if left out"
    )
    missed = serializers.ChoiceField(choices=Missed.choices, required=False)
    overlap = serializers.ChoiceField(choices=Overlap.choices, required=False)
    jitter_seconds = serializers.IntegerField(min_value=0, max_value=86_400, required=False)


class ScheduleFireSerializer(serializers.ModelSerializer[ScheduleFire]):
    class Meta:
        model = ScheduleFire
        fields = ["id", "fire_at", "outcome", "task", "note", "created_at"]
        read_only_fields = fields


class UpcomingSerializer(serializers.Serializer[Any]):
    description = serializers.CharField()
    times = serializers.ListField(child=serializers.DateTimeField(), help_text="without jitter, in the schedule's zone")


class ScheduleFilter(filters.FilterSet):  # type: ignore[misc]
    name = filters.CharFilter()
    task = filters.CharFilter()
    kind = filters.ChoiceFilter(choices=Rhythm.choices)
    paused = TrueOrFalseFilter()

    class Meta:
        model = Schedule
        fields: list[str] = []


class ScheduleViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Schedule]):
    """Tasks that are submitted again and again: by cron, or by interval."""

    queryset = Schedule.objects.order_by("-id")
    serializer_class = ScheduleSerializer
    filterset_class = ScheduleFilter
    ordering_fields = ["id", "name", "next_fire_at"]
    lookup_value_regex = ID
    needs = dict.fromkeys(("pause", "resume", "run_now"), "queue_core.change_schedule")

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        shapes: dict[str, type[BaseSerializer[Any]]] = {
            "create": ScheduleFormSerializer,
            "partial_update": ScheduleFormSerializer,
            "pause": NoFields,
            "resume": NoFields,
            "run_now": NoFields,
        }
        return shapes.get(self.action, ScheduleSerializer)

    @extend_schema(request=ScheduleFormSerializer, responses={201: ScheduleSerializer})
    def create(self, request: Request) -> Response:
        """Make a schedule; its first run is the first time after now."""
        schedule = services.save_schedule(**self._given(request), by=actor(request))
        return Response(ScheduleSerializer(schedule).data, status=201)

    @extend_schema(request=ScheduleFormSerializer, responses=ScheduleSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is given. A changed rhythm counts from now on."""
        schedule = self.get_object()
        given = self._given(request, partial=True)
        schedule = services.save_schedule(schedule=schedule, **given, by=actor(request))
        return Response(ScheduleSerializer(schedule).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a schedule with its history; its tasks stay."""
        services.delete_schedule([self.get_object().pk], by=actor(request))
        return Response(status=204)

    @extend_schema(request=NoFields, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Submit nothing until it is resumed. Safe to repeat."""
        return self._moved(request, services.pause_schedule)

    @extend_schema(request=NoFields, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Fire again from now on; what was due during the pause is not made up. Safe to repeat."""
        return self._moved(request, services.resume_schedule)

    @extend_schema(request=NoFields, responses={201: ScheduleFireSerializer})
    @action(detail=True, methods=["post"], url_path="run-now")
    def run_now(self, request: Request, pk: str) -> Response:
        """Run it once beside its rhythm, also when it is paused. 409 where its overlap policy forbids it."""
        schedule = self.get_object()
        self._given(request)
        fire = services.run_schedule_now(schedule, by=actor(request))
        return Response(ScheduleFireSerializer(fire).data, status=201)

    @extend_schema(
        responses=UpcomingSerializer,
        filters=False,
        parameters=[OpenApiParameter("limit", int, description=f"How many, 1 to {UPCOMING_MAX}; 10 if left out.")],
    )
    @action(detail=True, filterset_class=None)
    def upcoming(self, request: Request, pk: str) -> Response:
        """Its next times, also those of a paused one as if it were resumed now."""
        schedule = self.get_object()
        times = [time.isoformat() for time in services.upcoming(schedule, _limit(request))]
        return Response({"description": schedule.description, "times": times})

    @extend_schema(responses=ScheduleFireSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def fires(self, request: Request, pk: str) -> Response:
        """The times it was due, the last one first, and what became of them."""
        history = self.get_object().fires.order_by("-fire_at")
        page: Any = self.paginate_queryset(history)  # type: ignore[arg-type]  # typed for schedules
        return self.get_paginated_response(ScheduleFireSerializer(page, many=True).data)

    def _given(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        form = self.get_serializer(data=request.data, partial=partial)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        return given

    def _moved(self, request: Request, verb: Callable[..., services.BulkOutcome]) -> Response:
        schedule = self.get_object()
        self._given(request)
        verb([schedule.pk], by=actor(request))
        schedule.refresh_from_db()
        return Response(ScheduleSerializer(schedule).data)


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "10")
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= UPCOMING_MAX):
        raise ValidationError({"limit": [f"Give a whole number from 1 to {UPCOMING_MAX}."]})
    return int(text)
