from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from queue_core import search, services
from queue_core.api.actor import actor, may_submit
from queue_core.api.filters import AnyTextFilter, TrueOrFalseFilter, id_in
from queue_core.api.serializers import NoFields, ReplaySerializer, TaskSerializer
from queue_core.api.views import ID
from queue_core.errors import QueueError
from queue_core.models import DeadLetter, DeadLetterGroup, Execution, Task
from queue_core.services.clock import database_time
from queue_core.states import DeathReason


class LetterUnmoved(QueueError):
    """A verb on a dead letter that is not open, or whose task has been forgotten."""

    def __init__(self, letter: DeadLetter) -> None:
        self.state = letter.resolution or "open"
        super().__init__(f"Dead letter {letter.pk} {services.why_left_letter(letter)}. Nothing was changed.")


class GroupUnmoved(QueueError):
    """A verb on a group of which it could close nothing."""

    def __init__(self, group: DeadLetterGroup) -> None:
        self.state = "open" if group.open else "resolved"
        left = "has only letters whose tasks are gone (discard it), or have the unique key of a live task"
        what = left if group.open else "has no open dead letter"
        super().__init__(f"The group {group.fingerprint} {what}. Nothing was changed.")


class DeadLetterSummarySerializer(serializers.ModelSerializer[DeadLetter]):
    resolution = serializers.CharField(read_only=True, help_text="retried, replayed or discarded; empty while open")
    resolved_by = serializers.CharField(source="resolved_by.username", default=None, read_only=True)

    class Meta:
        model = DeadLetter
        fields = [
            *("id", "task", "name", "queue", "reason", "fingerprint", "error", "failed_at"),
            *("resolution", "resolved_at", "resolved_by", "replay"),
        ]
        read_only_fields = fields


class DeadLetterSerializer(DeadLetterSummarySerializer):
    """With what is needed to judge it. `payload` is null when the task has been forgotten."""

    payload = serializers.SerializerMethodField()
    traceback = serializers.SerializerMethodField(help_text="of the last attempt")

    class Meta(DeadLetterSummarySerializer.Meta):
        fields = [*DeadLetterSummarySerializer.Meta.fields, "payload", "traceback"]
        read_only_fields = fields

    def get_payload(self, letter: DeadLetter) -> dict[str, Any] | None:
        return Task.objects.filter(pk=letter.task_id).values_list("payload", flat=True).first()

    def get_traceback(self, letter: DeadLetter) -> str:
        attempts = Execution.objects.filter(task=letter.task_id).order_by("-attempt")
        return attempts.values_list("traceback", flat=True).first() or ""


class DeadLetterGroupSerializer(serializers.ModelSerializer[DeadLetterGroup]):
    class Meta:
        model = DeadLetterGroup
        fields = ["fingerprint", "name", "error", "open", "total", "first_seen", "last_seen"]
        read_only_fields = fields


class GroupOutcomeSerializer(serializers.Serializer[Any]):
    changed = serializers.IntegerField(help_text="dead letters that were closed")
    skipped = serializers.IntegerField(help_text="that were open at the call, but resolved meanwhile or without a task")
    group = DeadLetterGroupSerializer()


class DeadLetterFilter(filters.FilterSet):  # type: ignore[misc]
    open = TrueOrFalseFilter(method="is_open", label="Not resolved yet")
    name = filters.CharFilter()
    queue = filters.CharFilter()
    queue__in = AnyTextFilter(field_name="queue", lookup_expr="in")
    reason = filters.ChoiceFilter(choices=DeathReason.choices)
    fingerprint = filters.CharFilter()
    failed_at__gte = filters.IsoDateTimeFilter(field_name="failed_at", lookup_expr="gte")
    failed_at__lt = filters.IsoDateTimeFilter(field_name="failed_at", lookup_expr="lt")
    search = filters.CharFilter(method="look_for", label="A task's id, or how its name begins")
    q = filters.CharFilter(method="by_search", label="A search, such as reason:timeout error:busy")

    class Meta:
        model = DeadLetter
        fields: list[str] = []

    def look_for(self, letters: QuerySet[DeadLetter], name: str, value: str) -> QuerySet[DeadLetter]:
        if (pk := id_in(value)) is not None:
            return letters.filter(task=pk)
        return letters.filter(name__startswith=value)

    def by_search(self, letters: QuerySet[DeadLetter], name: str, value: str) -> QuerySet[DeadLetter]:
        return letters.filter(search.letters(search.parse(value), now=database_time()))

    def is_open(self, letters: QuerySet[DeadLetter], name: str, value: bool) -> QuerySet[DeadLetter]:
        return letters.filter(resolution="") if value else letters.exclude(resolution="")


class DeadLetterGroupFilter(filters.FilterSet):  # type: ignore[misc]
    open = TrueOrFalseFilter(field_name="is_open", label="Has open dead letters")
    name = filters.CharFilter()
    search = filters.CharFilter(field_name="name", lookup_expr="startswith", label="How a name begins")
    q = filters.CharFilter(method="by_search", label="A search, such as name:crm.* error:busy open:>100")

    class Meta:
        model = DeadLetterGroup
        fields: list[str] = []

    def by_search(self, groups: QuerySet[DeadLetterGroup], name: str, value: str) -> QuerySet[DeadLetterGroup]:
        return groups.filter(search.groups(search.parse(value), now=database_time()))


class _Verbs(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Any]):
    def given(self, request: Request) -> dict[str, Any]:
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        return given


class DeadLetterViewSet(_Verbs):
    """Tasks that failed for good, until somebody retries, replays or discards them."""

    queryset = DeadLetter.objects.select_related("resolved_by").order_by("-id")
    filterset_class = DeadLetterFilter
    ordering_fields = ["id"]
    lookup_value_regex = ID
    needs = dict.fromkeys(("replay", "discard"), "queue_core.change_deadletter")

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        shapes: dict[str, type[BaseSerializer[Any]]] = {
            "list": DeadLetterSummarySerializer,
            "replay": ReplaySerializer,
            "discard": NoFields,
        }
        return shapes.get(self.action, DeadLetterSerializer)

    @extend_schema(request=ReplaySerializer, responses={201: TaskSerializer})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: str) -> Response:
        """Run its task again, as a new one, with its payload or another one."""
        letter = self.get_object()
        payload = self.given(request).get("payload")
        if payload is not None and not may_submit(request):
            raise PermissionDenied("With another payload it is another task, which you may not submit.")
        made = services.replay_letters([letter.pk], payload=payload, by=actor(request))
        if not made:
            letter.refresh_from_db()
            raise LetterUnmoved(letter)
        return Response(TaskSerializer(Task.objects.get(pk=made[letter.task_id])).data, status=201)

    @extend_schema(request=NoFields, responses=DeadLetterSerializer)
    @action(detail=True, methods=["post"])
    def discard(self, request: Request, pk: str) -> Response:
        """Close it; its task stays failed."""
        letter = self.get_object()
        self.given(request)
        outcome = services.discard([letter.pk], by=actor(request))
        letter.refresh_from_db()
        if not outcome.changed:
            raise LetterUnmoved(letter)
        return Response(DeadLetterSerializer(letter).data)


class DeadLetterGroupViewSet(_Verbs):
    """The same failure, whatever ids it names: those with open dead letters first, then the latest."""

    queryset = DeadLetterGroup.objects.order_by("-is_open", "-last_seen")
    serializer_class = DeadLetterGroupSerializer
    filterset_class = DeadLetterGroupFilter
    ordering_fields = ["last_seen", "first_seen", "open", "total"]
    lookup_value_regex = "[0-9a-f]{32}"
    lookup_url_kwarg = "fingerprint"
    needs = dict.fromkeys(("replay", "discard"), "queue_core.change_deadlettergroup")
    own_transactions = ("replay", "discard")  # see config.api.idempotency

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return NoFields if self.action in ("replay", "discard") else DeadLetterGroupSerializer

    @extend_schema(request=NoFields, responses=GroupOutcomeSerializer)
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, fingerprint: str) -> Response:
        """Replay every open dead letter of the group."""
        return self._closed(request, services.replay_group)

    @extend_schema(request=NoFields, responses=GroupOutcomeSerializer)
    @action(detail=True, methods=["post"])
    def discard(self, request: Request, fingerprint: str) -> Response:
        """Close every open dead letter of the group; the tasks stay failed."""
        return self._closed(request, services.discard_group)

    def _closed(self, request: Request, verb: Callable[..., services.BulkOutcome]) -> Response:
        group = self.get_object()
        self.given(request)
        outcome = verb(group, by=actor(request))
        group.refresh_from_db()
        if not outcome.changed:
            raise GroupUnmoved(group)
        return Response(
            {
                "changed": outcome.changed,
                "skipped": outcome.skipped,
                "group": DeadLetterGroupSerializer(group).data,
            }
        )
