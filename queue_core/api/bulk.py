"""POST tasks/bulk/ and what has become of it: a verb on all rows that match, in the background."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters.rest_framework import BaseCSVFilter, Filter, FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from queue_core import bulk, services
from queue_core.api.actor import actor
from queue_core.api.filters import TaskFilter, id_in
from queue_core.api.serializers import NoFields, TaskSummarySerializer
from queue_core.models import BulkOperation, Task
from queue_core.search import Query, Term, Value, parse
from queue_core.services.bulk_verbs import TASKS
from queue_core.services.preview_bulk import IDS_MAX

_SHOWN_IDS = 100
TermOf = Callable[[Any], Term]


def is_(field: str, operator: str = "") -> TermOf:
    return lambda value: Term(field, (Value(str(value)),), operator)


def any_of(field: str) -> TermOf:
    return lambda values: Term(field, tuple(Value(str(value)) for value in values))


def at_time(field: str, operator: str) -> TermOf:
    return lambda value: Term(field, (Value(value.isoformat()),), operator)


def look_for(value: str) -> Term:
    if id_in(value) is not None:
        return Term("id", (Value(value),))
    return Term("name", (Value(value, is_prefix=True),))


def _states(states: Sequence[str]) -> Term:
    """The list's states are those of the rows, where a scheduled task is a queued one."""
    return any_of("state")(["waiting" if state == "queued" else state for state in states])


# Each filter of the list, as a term of a search; all but `tags` and `q`, which are several.
TERMS: dict[str, TermOf] = {
    "state": lambda state: _states([state]),
    "state__in": _states,
    "name": is_("name"),
    "queue": is_("queue"),
    "queue__in": any_of("queue"),
    "unique_key": is_("key"),
    "name__startswith": lambda value: Term("name", (Value(value, is_prefix=True),)),
    "priority": is_("priority"),
    "priority__gte": is_("priority", ">="),
    "priority__lte": is_("priority", "<="),
    "replay_of": is_("replay_of"),
    "workflow": is_("workflow"),
    "pinned": lambda value: Term("pinned", (Value("yes" if value else "no"),)),
    "created_at__gte": at_time("created", ">="),
    "created_at__lt": at_time("created", "<"),
    "run_at__gte": at_time("due", ">="),
    "run_at__lt": at_time("due", "<"),
    "search": look_for,
}


def _given(value: Any, kind: Filter) -> str | list[str]:
    """A value of JSON as the list's address would have it; ValueError says what cannot be one."""
    if isinstance(value, list) and isinstance(kind, BaseCSVFilter):
        parts = [_given(part, Filter()) for part in value]
        if any("," in part for part in parts):
            raise ValueError("A value with a comma cannot be told from two; say it in a search, as q.")
        return [str(part) for part in parts]
    if not isinstance(value, str | int | float):
        raise ValueError("Give a text, a number, or true or false; a filter for several values takes a list.")
    return str(value)


def cleaned(given: Mapping[str, Any], filters: type[FilterSet]) -> dict[str, Any]:
    """What the filters of a list mean; a ValidationError names one that is wrong, or that says nothing.

    A list may leave out an empty filter; a verb that did would work on more than it was asked to.
    """
    known: dict[str, Filter] = filters.base_filters
    texts: dict[str, str | list[str]] = {}
    wrong: dict[str, list[str]] = {}
    for name, value in given.items():
        if name not in known:
            wrong[name] = [f"There are {', '.join(known)}."]
            continue
        try:
            texts[name] = _given(value, known[name])
        except ValueError as exc:
            wrong[name] = [str(exc)]
    form = filters(texts, queryset=filters.Meta.model.objects.none()).form
    if wrong or not form.is_valid():
        raise ValidationError({"filter": {**form.errors, **wrong}})
    values = {name: form.cleaned_data[name] for name in texts}
    if empty := [name for name, value in values.items() if _is_silent(value)]:
        raise ValidationError({"filter": {name: ["Says nothing. Give a value, or leave it out."] for name in empty}})
    return values


def _is_silent(value: Any) -> bool:
    return value in (None, "", []) or (isinstance(value, list) and "" in value)


def query_of(given: Mapping[str, Any]) -> str:
    """The search that finds what the list of tasks finds with these filters."""
    values = cleaned(given, TaskFilter)
    several = [*parse(values.pop("q", "")).terms, *(Term("tag", (Value(tag),)) for tag in values.pop("tags", []))]
    return str(Query((*several, *(TERMS[name](value) for name, value in values.items()))))


class BulkSerializer(serializers.Serializer[Any]):
    """One of filter and ids; a filter holds those of the list, of which `q` is a search."""

    verb = serializers.CharField(
        max_length=40,
        help_text="of tasks: retry, replay, cancel, delete, set_priority, move, pin, unpin; of dead letters: replay,"
        " discard",
    )
    filter = serializers.DictField(required=False)
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False, max_length=IDS_MAX
    )
    params = serializers.DictField(required=False, help_text='{"priority": 5} or {"queue": "low"}')
    dry_run = serializers.BooleanField(default=False)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if ("filter" in given) == ("ids" in given):
            raise ValidationError("Give either filter or ids.")
        return given


class BulkPreviewSerializer(serializers.Serializer[services.Preview]):
    dry_run = serializers.BooleanField(default=True)
    matched = serializers.IntegerField(source="count")
    is_exact = serializers.BooleanField(help_text="false: at least so many match")
    query = serializers.CharField(source="selection.query")
    sample = TaskSummarySerializer(many=True)


class BulkOperationSerializer(serializers.ModelSerializer[BulkOperation]):
    progress = serializers.FloatField(help_text="0 to 1")
    scope = serializers.CharField()

    class Meta:
        model = BulkOperation
        fields = [
            *("id", "verb", "target", "scope", "params", "state", "progress", "matched", "is_exact"),
            *("seen", "changed", "skipped", "failed", "error", "user", "door"),
            *("created_at", "started_at", "finished_at"),
        ]
        read_only_fields = fields


class RefusalSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    reason = serializers.CharField()


class BulkDetailSerializer(BulkOperationSerializer):
    ids = serializers.SerializerMethodField(help_text="those asked for, the first hundred; null for a search")
    refusals = serializers.SerializerMethodField(help_text="the first thousand")

    class Meta(BulkOperationSerializer.Meta):
        fields = [*BulkOperationSerializer.Meta.fields, "ids", "refusals"]

    def get_ids(self, operation: BulkOperation) -> list[int] | None:
        return operation.ids and operation.ids[:_SHOWN_IDS]

    @extend_schema(responses=RefusalSerializer(many=True))
    def get_refusals(self, operation: BulkOperation) -> list[dict[str, Any]]:
        return [{"id": pk, "reason": reason} for pk, reason in operation.refusals]


class BulkStart(GenericViewSet[Any]):
    """Begins a verb on the rows of `target`; `search_of` makes a search of their list's filters."""

    serializer_class = BulkSerializer
    pagination_class = None
    filter_backends = []
    target: ClassVar[bulk.Target]
    preview: ClassVar[type[serializers.BaseSerializer[Any]]]
    search_of: Callable[[Mapping[str, Any]], str]

    def begin(self, request: Request) -> Response:
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        chosen = {
            "ids": given.get("ids"),
            "params": given.get("params"),
            "query": self.search_of(given.get("filter", {})),
        }
        chosen["target"] = self.target.label
        verb = bulk.get(self.target.label, given["verb"]).name
        if given["dry_run"]:
            return Response(self.preview(services.preview_bulk(verb, asked_by=actor(request), **chosen)).data)
        made = services.start_bulk(verb, by=actor(request), **chosen)
        return Response(BulkDetailSerializer(made).data, status=202)


class TaskBulkViewSet(BulkStart):
    queryset = Task.objects.none()
    target, preview = TASKS, BulkPreviewSerializer
    # The verb's own permission is demanded as well.
    needs = {"create": "queue_core.change_task"}
    search_of = staticmethod(query_of)

    @extend_schema(request=BulkSerializer, responses={202: BulkDetailSerializer, 200: BulkPreviewSerializer})
    def create(self, request: Request) -> Response:
        """Begin a verb on all tasks that match, or on some ids; with `dry_run` only count them, with a sample."""
        return self.begin(request)


class BulkOperationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[BulkOperation]):
    """Verbs on everything that matched: how far they are, and what was left alone and why.

    Whoever asked for one may see and stop it; the permissions are for those of others.
    """

    queryset = BulkOperation.objects.select_related("user").order_by("-id")
    ordering_fields = ["id"]
    lookup_value_regex = "[0-9]{1,18}"
    needs = {"stop": "queue_core.change_bulkoperation"}
    only_own = False

    def check_permissions(self, request: Request) -> None:
        try:
            super().check_permissions(request)
        except PermissionDenied:
            self.only_own = True

    def get_queryset(self) -> QuerySet[BulkOperation]:
        if self.action != "list":
            return super().get_queryset()
        rows = BulkOperation.objects.for_list().order_by("-id")
        return rows.filter(user=self.request.user.pk) if self.only_own else rows

    def get_object(self) -> BulkOperation:
        operation = super().get_object()
        if self.only_own and operation.user_id != self.request.user.pk:
            self.permission_denied(self.request)
        return operation

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        shapes: dict[str, type[serializers.BaseSerializer[Any]]] = {"list": BulkOperationSerializer, "stop": NoFields}
        return shapes.get(self.action, BulkDetailSerializer)

    @extend_schema(request=NoFields, responses=BulkDetailSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """End after the slice it is at; what is done stays done."""
        self.get_serializer(data=request.data).is_valid(raise_exception=True)
        operation = services.stop_bulk(self.get_object().pk, by=actor(request))
        return Response(BulkDetailSerializer(operation).data)
