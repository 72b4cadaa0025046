"""The pull protocol: workers in any language register, beat, claim tasks and say how they ended."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from queue_core import conf, services
from queue_core.api import long_poll
from queue_core.api.serializers import NoFields
from queue_core.api.views import ID
from queue_core.models import Task, Worker
from queue_core.services import Handed, Heard, PulledFailure
from queue_core.services.pull_register import CAPACITIES
from queue_core.states import Desire

PULL = "queue_core.pull_tasks"
WAIT_MAX = 30
_YEAR = 366 * 86_400
_T = TypeVar("_T")


class RegisterSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    hostname = serializers.CharField(max_length=200)
    queues = serializers.ListField(
        child=serializers.CharField(max_length=64), allow_empty=False, max_length=64, help_text="of external tasks"
    )
    capacity = serializers.IntegerField(
        min_value=CAPACITIES[0], max_value=CAPACITIES[-1], default=1, help_text="tasks it may hold at once"
    )


class RegisteredSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    lease_seconds = serializers.FloatField(help_text="send a heartbeat in good time before that")


class BeatSerializer(serializers.Serializer[Any]):
    holds = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        max_length=1000,
        help_text="ids of the tasks it knows of; others it was given are put back in line",
    )


class HeardSerializer(serializers.Serializer[Heard]):
    desired = serializers.ChoiceField(Desire.choices)
    lease_until = serializers.DateTimeField()
    cancel = serializers.ListField(child=serializers.IntegerField(), help_text="ids of tasks it is asked to end")


class ClaimSerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=CAPACITIES[-1], default=1)
    wait = serializers.FloatField(min_value=0, max_value=WAIT_MAX, default=0, help_text="seconds to wait for work")


class HandedSerializer(serializers.Serializer[Handed]):
    id = serializers.IntegerField(source="task.id")
    name = serializers.CharField(source="task.name")
    queue = serializers.CharField(source="task.queue")
    payload = serializers.DictField()
    attempt = serializers.IntegerField(source="task.attempt")
    max_attempts = serializers.IntegerField(source="task.max_attempts")
    lease = serializers.UUIDField(source="task.lease")
    timeout = serializers.FloatField(help_text="seconds")
    deadline = serializers.DateTimeField(help_text="a little after it the attempt has failed")


class PulledSerializer(serializers.Serializer[Any]):
    tasks = HandedSerializer(many=True)
    desired = serializers.ChoiceField(Desire.choices)
    waited = serializers.BooleanField(help_text="false: too many wait already; ask again after a pause of your own")


class LeaseSerializer(serializers.Serializer[Any]):
    lease = serializers.UUIDField(help_text="as the claim gave it")


class CompleteSerializer(LeaseSerializer):
    result = serializers.JSONField(required=False, allow_null=True, default=None)


class FailSerializer(LeaseSerializer):
    error = serializers.CharField(max_length=1_000_000, help_text="one line; cut after 500 characters")
    error_class = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    traceback = serializers.CharField(
        max_length=10_000_000,
        required=False,
        allow_blank=True,
        default="",
        trim_whitespace=False,
        help_text="cut after 20 000 characters",
    )
    retry = serializers.BooleanField(default=True, help_text="false: this can never work")
    delay = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=0, max_value=_YEAR, help_text="in place of the backoff"
    )


class AmountField(serializers.FloatField):
    """Checked by the verb, by the rule for what tasks in Python report."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class ProgressReportSerializer(LeaseSerializer):
    done = AmountField(help_text="from 0 up, in a unit of your own")
    total = AmountField(required=False, allow_null=True, default=None, help_text="when it is known")
    note = serializers.CharField(
        max_length=10_000, required=False, allow_blank=True, default="", help_text="cut after 200 characters"
    )


class EndedSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.CharField()


def given(view: GenericViewSet[Any], request: Request) -> dict[str, Any]:
    form = view.get_serializer(data=request.data)
    form.is_valid(raise_exception=True)
    values: dict[str, Any] = form.validated_data
    return values


class PullActions(GenericViewSet[Worker]):
    """What a worker does about itself."""

    own_transactions = ("claim",)  # see config.api.idempotency
    pull_shapes: dict[str, type[BaseSerializer[Any]]] = {
        "create": RegisterSerializer,
        "destroy": NoFields,
        "heartbeat": BeatSerializer,
        "claim": ClaimSerializer,
    }

    @extend_schema(request=RegisterSerializer, responses={201: RegisteredSerializer})
    def create(self, request: Request) -> Response:
        """Register a worker that pulls tasks of external queues."""
        worker = services.pull_register(**given(self, request))
        return Response({"id": worker.pk, "lease_seconds": conf.get("PULL_LEASE_SECONDS")}, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """A worker that pulls ends; what it holds goes back in line."""
        _existing(lambda: services.pull_deregister(_number(pk)))
        return Response(status=204)

    @extend_schema(request=BeatSerializer, responses=HeardSerializer)
    @action(detail=True, methods=["post"])
    def heartbeat(self, request: Request, pk: str) -> Response:
        """It is alive: extends its leases; answers what is desired of it and which tasks it is to end."""
        holds = given(self, request).get("holds")
        return Response(HeardSerializer(_existing(lambda: services.pull_beat(_number(pk), holds=holds))).data)

    @extend_schema(request=ClaimSerializer, responses=PulledSerializer)
    @action(detail=True, methods=["post"])
    def claim(self, request: Request, pk: str) -> Response:
        """Take up to `limit` tasks, as far as its capacity goes; with `wait`, once there are some."""
        asked = given(self, request)
        pulled, waited = _existing(lambda: long_poll.claim(_number(pk), asked["limit"], asked["wait"]))
        answer = {"tasks": pulled.tasks, "desired": pulled.desired, "waited": waited}
        return Response(PulledSerializer(answer).data)


class HeldTaskViewSet(GenericViewSet[Task]):
    """What a worker that pulls says about a task it holds. The lease is the proof; a stale one is a conflict."""

    queryset = Task.objects.order_by("-id")
    serializer_class = LeaseSerializer
    filter_backends = ()
    lookup_value_regex = ID
    needs = dict.fromkeys(("heartbeat", "progress", "complete", "fail"), PULL)

    @extend_schema(request=LeaseSerializer, responses=HeardSerializer)
    @action(detail=True, methods=["post"])
    def heartbeat(self, request: Request, pk: str) -> Response:
        """Its worker is alive; the same as the worker's own heartbeat."""
        task_id, lease = self._held(request)
        return Response(HeardSerializer(services.pull_task_beat(task_id, lease)).data)

    @extend_schema(request=ProgressReportSerializer, responses={204: None})
    @action(detail=True, methods=["post"], serializer_class=ProgressReportSerializer)
    def progress(self, request: Request, pk: str) -> Response:
        """How far it is; shown with the time left. Keeps no lease: that is what heartbeats are for."""
        task_id, lease = self._held(request)
        told = given(self, request)
        services.pull_progress(task_id, lease, done=told["done"], total=told["total"], note=told["note"])
        return Response(status=204)

    @extend_schema(request=CompleteSerializer, responses=EndedSerializer)
    @action(detail=True, methods=["post"], serializer_class=CompleteSerializer)
    def complete(self, request: Request, pk: str) -> Response:
        """It succeeded, with this result."""
        task_id, lease = self._held(request)
        services.pull_complete(task_id, lease, result=given(self, request)["result"])
        return Response({"id": task_id, "state": "succeeded"})

    @extend_schema(request=FailSerializer, responses=EndedSerializer)
    @action(detail=True, methods=["post"], serializer_class=FailSerializer)
    def fail(self, request: Request, pk: str) -> Response:
        """The attempt failed: queued again while attempts are left, else failed; cancelled when that was asked."""
        task_id, lease = self._held(request)
        told = given(self, request)
        told.pop("lease")
        return Response({"id": task_id, "state": services.pull_fail(task_id, lease, PulledFailure(**told))})

    def _held(self, request: Request) -> tuple[int, UUID]:
        return self.get_object().pk, given(self, request)["lease"]


def _number(pk: str) -> int:
    number = int(pk)
    if number >= 2**63:
        raise Http404
    return number


def _existing(verb: Callable[[], _T]) -> _T:
    try:
        return verb()
    except Worker.DoesNotExist:
        raise Http404 from None
