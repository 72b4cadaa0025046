from collections.abc import Callable
from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from queue_core import services
from queue_core.api.actor import actor
from queue_core.api.serializers import NoFields, TaskFormSerializer, not_internal
from queue_core.api.views import ID
from queue_core.models import Workflow
from queue_core.services.workflow_graph import Arrow, Node
from queue_core.states import OnFailure, WorkflowState

STEPS_MAX = 10_000


class WorkflowSerializer(serializers.ModelSerializer[Workflow]):
    total = serializers.IntegerField(read_only=True, help_text="steps")
    done = serializers.IntegerField(read_only=True, help_text="steps that have ended and are settled")

    class Meta:
        model = Workflow
        fields = [
            *("id", "name", "state", "total", "done", "cancel_requested_at", "created_at", "created_by"),
            "finished_at",
        ]
        read_only_fields = fields


class WorkflowDetailSerializer(WorkflowSerializer):
    counts = serializers.SerializerMethodField(help_text="steps by state")
    callbacks = serializers.JSONField(read_only=True)

    class Meta(WorkflowSerializer.Meta):
        fields = [*WorkflowSerializer.Meta.fields, "counts", "callbacks"]
        read_only_fields = fields

    def get_counts(self, workflow: Workflow) -> dict[str, int]:
        return services.state_counts(workflow)


class StepSerializer(TaskFormSerializer):
    """A task that may wait for others of the same workflow."""

    key = serializers.CharField(
        max_length=200,
        required=False,
        trim_whitespace=False,
        help_text="differs from that of every other step, without dots; the place in the list if left out",
    )
    on_failure = serializers.ChoiceField(
        choices=OnFailure.choices,
        required=False,
        help_text="what becomes of this step when one that it depends on does not succeed",
    )
    depends_on = serializers.ListField(
        child=serializers.JSONField(), required=False, help_text='keys, or {"key", "on_failure"} for one edge'
    )


class CallbackSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200, validators=[not_internal], help_text="of a registered task")
    payload = serializers.DictField(
        required=False, help_text='may hold {"$workflow": "id"}, name or state, and {"$result": "key.path"}'
    )
    queue = serializers.CharField(max_length=64, required=False)
    priority = serializers.IntegerField(required=False)
    max_attempts = serializers.IntegerField(required=False)


class CallbacksSerializer(serializers.Serializer[Any]):
    success = CallbackSerializer(required=False)
    failure = CallbackSerializer(required=False)
    complete = CallbackSerializer(required=False, help_text="however it ends, also cancelled")


class WorkflowFormSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    # The stubs do not know that many=True makes a list.
    steps = StepSerializer(many=True, allow_empty=False, max_length=STEPS_MAX)  # type: ignore[call-arg]
    callbacks = CallbacksSerializer(required=False, help_text="tasks to submit when it ends")


class NodeSerializer(serializers.Serializer[Node]):
    key = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField(help_text="also scheduled and retrying, as people say it")
    task = serializers.IntegerField(help_text="id")
    error = serializers.CharField()


class ArrowSerializer(serializers.Serializer[Arrow]):
    # A declared field does not shadow the property of serializers, but mypy cannot know that.
    parent = serializers.CharField(help_text="key of a step")  # type: ignore[assignment]
    child = serializers.CharField(help_text="key of one that waits for it")
    on_failure = serializers.ChoiceField(choices=OnFailure.choices)
    outcome = serializers.CharField(help_text="how the parent ended; empty until then")


class GraphSerializer(serializers.Serializer[Any]):
    nodes = NodeSerializer(many=True)
    edges = ArrowSerializer(many=True)


class WorkflowFilter(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=WorkflowState)
    name = filters.CharFilter()
    created_at__gte = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_at__lt = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Workflow
        fields: list[str] = []


class WorkflowViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Workflow]):
    """Tasks that belong together and may wait for each other."""

    queryset = Workflow.objects.order_by("-id")
    serializer_class = WorkflowDetailSerializer
    filterset_class = WorkflowFilter
    ordering_fields = ["id"]
    lookup_value_regex = ID
    needs = {
        **dict.fromkeys(("cancel", "retry"), "queue_core.change_workflow"),
        # Its steps are tasks.
        "create": ("queue_core.add_workflow", "queue_core.add_task"),
    }

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        shapes: dict[str, type[BaseSerializer[Any]]] = {
            "list": WorkflowSerializer,
            "create": WorkflowFormSerializer,
            "cancel": NoFields,
            "retry": NoFields,
        }
        return shapes.get(self.action, WorkflowDetailSerializer)

    @extend_schema(request=WorkflowFormSerializer, responses={201: WorkflowDetailSerializer})
    def create(self, request: Request) -> Response:
        """Submit up to 10 000 steps, all or nothing. A cycle is refused by name."""
        workflow = services.submit_workflow(**self._given(request), by=actor(request))
        return Response(WorkflowDetailSerializer(workflow).data, status=201)

    @extend_schema(responses=GraphSerializer)
    @action(detail=True)
    def graph(self, request: Request, pk: str) -> Response:
        """Its steps as they are now, and what connects them."""
        nodes, edges = services.workflow_graph(self.get_object())
        return Response(GraphSerializer({"nodes": nodes, "edges": edges}).data)

    @extend_schema(request=NoFields, responses=WorkflowDetailSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel the steps that wait, ask the running ones to end."""

        def verb(workflow: Workflow, by: services.Actor) -> None:
            outcome = services.cancel_workflow([workflow.pk], by=by)
            if not outcome.changed:
                raise services.WorkflowUnmoved(workflow, outcome.reason)

        return self._moved(request, verb)

    @extend_schema(request=NoFields, responses=WorkflowDetailSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Run again what has not succeeded, in its order; what succeeded is kept."""
        return self._moved(request, services.retry_workflow)

    def _given(self, request: Request) -> dict[str, Any]:
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        given: dict[str, Any] = form.validated_data
        return given

    def _moved(self, request: Request, verb: Callable[..., Any]) -> Response:
        workflow = self.get_object()
        self._given(request)
        verb(workflow, by=actor(request))
        workflow.refresh_from_db()
        return Response(WorkflowDetailSerializer(workflow).data)
