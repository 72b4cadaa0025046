import inspect
import logging
from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from queue_core import registry
from queue_core.lanes import KEY_MAX
from queue_core.models import DeadLetter, Dependency, Execution, LogLine, Progress, Result, Task
from queue_core.services import Backlog, Lineage, Relatives, Stats, TypeShown, lineage, waiting_reason
from queue_core.services.submit import ATTEMPTS, PRIORITIES
from queue_core.states import OnFailure

BATCH_MAX = 10_000


def not_internal(name: str) -> None:
    """For names of tasks: those of Posthaste's own workings are not for people to submit."""
    known = registry.find(name)
    if known and known.internal:
        raise serializers.ValidationError("Belongs to Posthaste's own workings; people do not submit it.")


class NoFields(serializers.Serializer[Any]):
    """The body of a verb that needs none: empty, or {}."""


class TaskSummarySerializer(serializers.ModelSerializer[Task]):
    """A task in a list: no payload, it can be large."""

    key = serializers.CharField(read_only=True, help_text='whose task it is; "" without one')
    shown_state = serializers.CharField(read_only=True, help_text="also scheduled and retrying, as people say it")

    class Meta:
        model = Task
        fields = [
            *("id", "name", "queue", "key", "priority", "state", "shown_state", "run_at", "unique_key"),
            *("attempt", "max_attempts", "crashes", "max_crashes", "worker", "error"),
            *("tags", "pinned", "replay_of", "created_at", "expires_at", "started_at"),
            *("cancel_requested_at", "finished_at"),
            *("workflow", "step"),
        ]


class ProgressSerializer(serializers.ModelSerializer[Progress]):
    percent = serializers.FloatField(read_only=True, allow_null=True)
    seconds_left = serializers.FloatField(
        read_only=True, allow_null=True, help_text="as of updated_at, at the rate so far"
    )

    class Meta:
        model = Progress
        fields = ["attempt", "done", "total", "percent", "seconds_left", "note", "started_at", "updated_at"]


class OriginSerializer(serializers.Serializer[Any]):
    request_id = serializers.CharField(default=None)
    traceparent = serializers.CharField(default=None)
    user_id = serializers.IntegerField(default=None)
    door = serializers.CharField(default=None, help_text="api or admin")
    parent_task = serializers.IntegerField(default=None, help_text="the task that submitted it")


class LetterOfTaskSerializer(serializers.ModelSerializer[DeadLetter]):
    resolution = serializers.CharField(read_only=True, help_text="retried, replayed or discarded; empty while open")

    class Meta:
        model = DeadLetter
        fields = ["id", "reason", "fingerprint", "resolution"]
        read_only_fields = fields


class LineageSerializer(serializers.Serializer[Lineage]):
    replays = serializers.ListField(child=serializers.IntegerField(), help_text="ids; the first 100")
    dead_letters = LetterOfTaskSerializer(source="letters", many=True, help_text="the latest first")


class TaskSerializer(TaskSummarySerializer):
    waiting_for = serializers.SerializerMethodField(help_text="why it does not run yet; empty when it runs or is over")
    origin = OriginSerializer(source="context", read_only=True, allow_null=True, help_text="who asked for it")
    progress = ProgressSerializer(read_only=True, default=None, allow_null=True)
    lineage = serializers.SerializerMethodField(help_text="what repeats it (`replay_of` is what it repeats)")

    class Meta(TaskSummarySerializer.Meta):
        fields = [*TaskSummarySerializer.Meta.fields, "payload", "waiting_for", "origin", "progress", "lineage"]

    @extend_schema_field(LineageSerializer)
    def get_lineage(self, task: Task) -> dict[str, Any]:
        """Of one that was just made (`is_new` in the context) it is known to be empty."""
        return LineageSerializer(Lineage([], []) if self.context.get("is_new") else lineage(task)).data

    def get_waiting_for(self, task: Task) -> str:
        return waiting_reason(task)


class RelativeSerializer(serializers.Serializer[Any]):
    """A task at the other end of an edge."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    step = serializers.CharField(allow_null=True)
    state = serializers.CharField()
    shown_state = serializers.CharField()
    error = serializers.CharField()


class ParentSerializer(serializers.Serializer[Dependency]):
    task = RelativeSerializer(source="parent")
    on_failure = serializers.ChoiceField(choices=OnFailure.choices)
    outcome = serializers.CharField(help_text="how it ended; empty until then")


class ChildSerializer(ParentSerializer):
    task = RelativeSerializer()


class DependenciesSerializer(serializers.Serializer[Relatives]):
    """The first 1 000 of each side."""

    parents = ParentSerializer(many=True)
    children = ChildSerializer(many=True)


class TaskFormSerializer(serializers.Serializer[Any]):
    """What is left out, or null, is as the registered task has it."""

    name = serializers.CharField(
        max_length=200, validators=[not_internal], help_text="of a registered task; see task-types"
    )
    payload = serializers.DictField(default=dict, help_text="its arguments")
    queue = serializers.CharField(max_length=64, required=False, allow_null=True)
    priority = serializers.IntegerField(
        min_value=PRIORITIES[0],
        max_value=PRIORITIES[-1],
        required=False,
        allow_null=True,
        help_text="a higher one is taken first",
    )
    run_at = serializers.DateTimeField(required=False, allow_null=True)
    max_attempts = serializers.IntegerField(min_value=1, max_value=1000, required=False, allow_null=True)
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="not started by then, it never is"
    )
    tags = serializers.ListField(child=serializers.CharField(max_length=64), max_length=32, required=False)


class SubmitSerializer(TaskFormSerializer):
    """A task that may wait for others that are there already."""

    unique_key = serializers.CharField(
        max_length=200,
        trim_whitespace=False,
        required=False,
        allow_null=True,
        help_text="at most one live task of this name has it; another submission answers that one",
    )
    key = serializers.CharField(
        max_length=KEY_MAX,
        trim_whitespace=False,
        required=False,
        allow_null=True,
        help_text="whose task it is: keys of a queue are served in turns, and limits by key count it",
    )
    depends_on = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        max_length=BATCH_MAX,
        help_text="ids of tasks that must end before it",
    )
    on_parent_failure = serializers.ChoiceField(
        choices=OnFailure.choices, required=False, help_text="what becomes of it when one of those does not succeed"
    )


class ReplaySerializer(serializers.Serializer[Any]):
    payload = serializers.DictField(required=False, help_text="in place of the old one")


class EditSerializer(serializers.Serializer[Any]):
    """What is left out stays as it is."""

    queue = serializers.CharField(max_length=64, required=False)
    priority = serializers.IntegerField(min_value=PRIORITIES[0], max_value=PRIORITIES[-1], required=False)
    run_at = serializers.DateTimeField(required=False)
    max_attempts = serializers.IntegerField(min_value=ATTEMPTS[0], max_value=ATTEMPTS[-1], required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=64), max_length=32, required=False)
    payload = serializers.DictField(required=False, help_text="in place of the old one")


class StatsSerializer(serializers.Serializer[Stats]):
    """Tasks submitted within `window` seconds."""

    window = serializers.SerializerMethodField(help_text="seconds")
    exact = serializers.BooleanField(help_text="false: estimated from a sample, as counting takes too long")
    states = serializers.DictField(child=serializers.IntegerField())
    queues = serializers.DictField(child=serializers.IntegerField())
    names = serializers.DictField(child=serializers.IntegerField())
    live = serializers.DictField(child=serializers.IntegerField(), help_text="not over, of any age")
    live_exact = serializers.BooleanField(help_text="false: counting stopped at 100 000")

    def get_window(self, found: Stats) -> float:
        return found.window.total_seconds()


class PurgedSerializer(serializers.Serializer[Any]):
    cancelled = serializers.IntegerField()
    more = serializers.BooleanField(help_text="more tasks wait: call again")


class BatchSerializer(serializers.Serializer[Any]):
    # The stubs do not know that many=True makes a list.
    tasks = SubmitSerializer(many=True, allow_empty=False, max_length=BATCH_MAX)  # type: ignore[call-arg]


class SubmittedSerializer(serializers.Serializer[Any]):
    ids = serializers.ListField(child=serializers.IntegerField(), help_text="in the order of the submissions")
    created = serializers.IntegerField(help_text="how many are new; the others had the unique key of a live task")


class ResultSerializer(serializers.ModelSerializer[Result]):
    value = serializers.JSONField(read_only=True)

    class Meta:
        model = Result
        fields = ["value", "created_at"]


class OutcomeSerializer(serializers.ModelSerializer[Task]):
    """`result` is null until the task succeeded, and when it returned nothing."""

    result = ResultSerializer(read_only=True, default=None)

    class Meta:
        model = Task
        fields = ["id", "state", "error", "result", "finished_at"]
        read_only_fields = fields


class ExecutionSerializer(serializers.ModelSerializer[Execution]):
    class Meta:
        model = Execution
        fields = ["attempt", "outcome", "worker", "error", "error_class", "traceback", "started_at", "finished_at"]


class LogLineSerializer(serializers.ModelSerializer[LogLine]):
    level = serializers.SerializerMethodField()

    class Meta:
        model = LogLine
        fields = ["id", "attempt", "at", "level", "logger", "message"]

    def get_level(self, line: LogLine) -> str:
        return logging.getLevelName(line.level)


class BackoffSerializer(serializers.Serializer[Any]):
    base = serializers.FloatField(help_text="seconds")
    factor = serializers.FloatField()
    cap = serializers.FloatField(help_text="seconds")


def _paths(classes: Iterable[type]) -> list[str]:
    return [f"{each.__module__}.{each.__qualname__}" for each in classes]


class TaskTypeSerializer(serializers.Serializer[TypeShown]):
    name = serializers.CharField(source="task_type.name")
    description = serializers.SerializerMethodField()
    queue = serializers.CharField(source="task_type.queue_name")
    priority = serializers.IntegerField(source="task_type.priority")
    max_attempts = serializers.IntegerField(source="task_type.max_attempts")
    max_crashes = serializers.IntegerField(source="task_type.max_crashes")
    timeout = serializers.FloatField(source="task_type.timeout", help_text="seconds")
    backoff = BackoffSerializer(source="task_type.backoff")
    retry_on = serializers.SerializerMethodField(help_text="exceptions that are tried again; null: all")
    discard_on = serializers.SerializerMethodField(help_text="exceptions that never are")
    retry_until = serializers.FloatField(
        source="task_type.retry_until", allow_null=True, help_text="seconds since creation: no attempt begins later"
    )
    acks = serializers.CharField(
        source="task_type.acks", help_text="each: its outcome is durable before the next task starts"
    )
    paused_at = serializers.DateTimeField(allow_null=True)
    max_running = serializers.IntegerField(
        source="limit.max_running", allow_null=True, help_text="tasks that may run at once, over all workers"
    )
    rate = serializers.CharField(
        source="limit.rate", allow_null=True, help_text='tasks that may start in a time, such as "100/m"'
    )
    key_max_running = serializers.IntegerField(
        source="task_type.key_max_running", allow_null=True, help_text="of those with the same key"
    )
    key_rate = serializers.CharField(
        source="task_type.key_rate", allow_null=True, help_text="of those with the same key"
    )
    schema = serializers.JSONField(
        source="task_type.schema.document", default=None, help_text="JSON Schema of the payload; null: any object"
    )

    def get_retry_on(self, shown: TypeShown) -> list[str] | None:
        classes = shown.task_type.retry_on
        return None if classes is None else _paths(classes)

    def get_discard_on(self, shown: TypeShown) -> list[str]:
        return _paths(shown.task_type.discard_on)

    def get_description(self, shown: TypeShown) -> str:
        return (inspect.getdoc(shown.task_type.func) or "").partition("\n\n")[0]


class QueueSerializer(serializers.Serializer[Backlog]):
    name = serializers.CharField()
    depth = serializers.IntegerField(help_text="due tasks that wait; counted up to 10 000")
    more = serializers.BooleanField(help_text="more than `depth` wait")
    oldest_age = serializers.FloatField(allow_null=True, help_text="seconds the longest-waiting one is overdue")
    running = serializers.IntegerField()
    paused_at = serializers.DateTimeField(allow_null=True)
    max_running = serializers.IntegerField(allow_null=True, help_text="tasks that may run at once, over all workers")
    rate = serializers.CharField(help_text='tasks that may start in a time: "100/m"; "" without a limit')


class LimitsSerializer(serializers.Serializer[Any]):
    max_running = serializers.IntegerField(allow_null=True, required=False, min_value=1, max_value=1_000_000)
    rate = serializers.CharField(allow_null=True, required=False, max_length=32, help_text="100/m, 5/10s, 2000/h")
