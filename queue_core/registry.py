"""The tasks this installation can run, by name; and the decorator that makes them."""

import functools
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, ClassVar, Literal

from django.core.exceptions import ImproperlyConfigured
from django_tasks.base import Task as DjangoTask

from queue_core import conf
from queue_core.errors import UnknownTask
from queue_core.lanes import checked_key, lane_of, value_at
from queue_core.policies import Backoff, Limit, Rate, RetryRules, checked_room
from queue_core.schemas import PayloadSchema
from queue_core.signatures import by_name, schema_of

_registered: dict[str, "TaskType"] = {}
_BY_SIGNATURE = PayloadSchema({})


def default_name(func: Callable[..., Any]) -> str:
    """`campaigns.tasks.deliver_chunk` -> `campaigns.deliver_chunk`: stable when a module is split."""
    return f"{func.__module__.removesuffix('.tasks')}.{func.__qualname__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskType(DjangoTask[Any, Any]):
    """A registered task: Django's own `Task` with the policy of this queue. Times are seconds."""

    label: str = ""
    max_attempts: int = field(default_factory=lambda: conf.get("MAX_ATTEMPTS"))
    max_crashes: int = field(default_factory=lambda: conf.get("MAX_CRASHES"))
    backoff: Backoff = field(default_factory=Backoff)
    timeout: float = field(default_factory=lambda: conf.get("TIMEOUT_SECONDS"))
    # "each": this task's outcome is durable before the next one starts, for work that must not be repeated.
    acks: Literal["batch", "each"] = "batch"
    # Run in a child process of its own, so that a crash or a full memory costs this attempt alone.
    isolate: bool = False
    # Which exceptions are tried again (None: all), and which never; seconds since creation after which nothing is.
    retry_on: tuple[type[BaseException], ...] | None = None
    discard_on: tuple[type[BaseException], ...] = ()
    retry_until: float | None = None
    # What its payload must be; None: any object.
    schema: PayloadSchema | None = field(default=_BY_SIGNATURE, compare=False, repr=False)
    # Over all workers; rates as "100/m". `key` is a path into the payload, such as "customer.id", or a function of it.
    max_running: int | None = None
    rate: str | None = None
    key: str | Callable[[Mapping[str, Any]], Any] | None = None
    key_max_running: int | None = None
    key_rate: str | None = None
    # Of Posthaste's own workings: neither submitted nor changed by people.
    internal: bool = False
    # Described in the settings, run by workers of the pull protocol.
    external: bool = False
    # Looked up once: a worker asks for each task several times.
    is_coroutine: bool = field(default=False, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.external:
            return  # the checks have judged it, and no code of ours can be called by its name
        # Not super(): a slots dataclass is a second class object, which zero-argument super() does not know.
        DjangoTask.__post_init__(self)
        object.__setattr__(self, "is_coroutine", iscoroutinefunction(self.func))
        if not self.label:
            object.__setattr__(self, "label", default_name(self.func))
        if self.schema is _BY_SIGNATURE:
            document = schema_of(self.func, takes_context=self.takes_context)
            object.__setattr__(self, "schema", PayloadSchema(document, of_signature=True))
        if ":" in self.label:
            raise ValueError(f"A task must not be called {self.label!r}: names hold no colon.")
        _check_limits(self)
        _check_retry_rules(self)
        known = _registered.setdefault(self.label, self)
        if known.func is not self.func and default_name(known.func) != default_name(self.func):
            raise ValueError(f"Two tasks are called {self.label!r}: {known.module_path} and {self.module_path}.")

    # Pages that show a task type must not run it.
    do_not_call_in_templates: ClassVar[bool] = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now, as if it were not decorated: nothing is submitted, no policy is kept."""
        return self.func(*args, **kwargs)

    @property
    def name(self) -> str:
        return self.label

    def problems(self, payload: Mapping[str, Any]) -> list[tuple[str, str]]:
        """(path, reason) of what the schema refuses in a payload; arguments by position count under their names."""
        if self.schema is None:
            return []
        if "*args" not in payload:
            return self.schema.problems(payload)
        named = dict(payload)
        try:
            given = by_name(self.func, named.pop("*args"), takes_context=self.takes_context)
        except (TypeError, ValueError) as exc:
            return [("", str(exc))]
        if twice := sorted(given.keys() & named.keys()):
            return [(twice[0], "is given twice, by position and by name")]
        return self.schema.problems({**given, **named})

    @property
    def retry_rules(self) -> RetryRules:
        return RetryRules(self.retry_on, self.discard_on, self.retry_until)

    def is_too_late(self, age: float, due_age: float = 0.0) -> bool:
        """Whether an attempt may not begin any more at this age of a task; what was only due later still may."""
        return self.retry_until is not None and due_age <= self.retry_until < age

    @property
    def why_late(self) -> str:
        return f"over {self.retry_until:g} s after its creation, see retry_until"

    @property
    def limit(self) -> Limit:
        """Of all tasks of this type together."""
        return Limit(self.max_running, Rate.parse(self.rate) if self.rate else None)

    @property
    def key_limit(self) -> Limit:
        """Of the tasks of this type that have the same key."""
        return Limit(self.key_max_running, Rate.parse(self.key_rate) if self.key_rate else None)

    def key_for(self, payload: Mapping[str, Any]) -> str:
        """The key of a payload; "" when there is none. ValueError says why it cannot be one."""
        if self.key is None:
            return ""
        try:
            found = self.key(payload) if callable(self.key) else value_at(payload, self.key)
        except Exception as exc:  # whatever somebody's function raises
            raise ValueError(f"cannot be made from this payload ({type(exc).__name__}: {exc})") from None
        return "" if found is None else checked_key(found)

    def lane(self, key: str) -> str:
        is_limited = any((self.max_running, self.rate, self.key_max_running, self.key_rate))
        return lane_of(self.label if is_limited else "", key)


def limit_fault(option: str, value: Any) -> str:
    """What is wrong with a value of `max_running`, `rate`, `key_max_running` or `key_rate`; "" when it can be."""
    try:
        if value is not None:
            Rate.parse(value) if option.endswith("rate") else checked_room(value)
    except ValueError as exc:
        return str(exc)
    return ""


def _check_limits(task_type: TaskType) -> None:
    for option in ("max_running", "rate", "key_max_running", "key_rate"):
        fault = limit_fault(option, getattr(task_type, option))
        if fault:
            raise ValueError(f"{option} of the task {task_type.label!r} {fault}.")
    if not (task_type.key is None or callable(task_type.key) or (isinstance(task_type.key, str) and task_type.key)):
        raise ValueError(f"key of the task {task_type.label!r} must be a path such as 'customer.id', or a function.")


def _check_retry_rules(task_type: TaskType) -> None:
    try:
        _ = task_type.retry_rules
    except ValueError as exc:
        raise ValueError(f"The task {task_type.label!r} cannot be: {exc}.") from None


def task(
    *,
    name: str = "",
    queue: str = "default",
    priority: int = 0,
    takes_context: bool = False,
    **policy: Any,
) -> Callable[[Callable[..., Any]], TaskType]:
    """Register a module-level function as a task.

    `policy`: `max_attempts`, `max_crashes`, `backoff` (Backoff), `timeout` (seconds), `acks` ("batch" or "each"),
    `isolate` (in a process of its own), `internal` (not for people to submit),
    `max_running`, `rate` ("100/m"), `key` (path into the payload or function of it), `key_max_running`, `key_rate`.
    `retry_on`, `discard_on` (tuples of exceptions) and `retry_until` (seconds since creation) say what is tried again.
    With `takes_context` the function's first argument, named `context`, is an execution.Context.
    `schema`: JSON Schema (2020-12) of the payload, or None for any object; without it the function's signature says
    what is taken, by its annotations.
    """
    if policy.get("schema") is not None:
        policy["schema"] = PayloadSchema(policy["schema"])

    def register(func: Callable[..., Any]) -> TaskType:
        if queue not in conf.queues():
            known, who = ", ".join(conf.queues()), name or default_name(func)
            raise ImproperlyConfigured(
                f"The task {who} goes to the queue {queue!r}, which is not in the setting QUEUES ({known})."
            )
        return TaskType(
            func=func, label=name, queue_name=queue, priority=priority, takes_context=takes_context, **policy
        )

    return register


def elsewhere(**payload: Any) -> None:
    """Runs in a worker of the pull protocol."""
    raise RuntimeError("This task is run by workers of the pull protocol; no process of ours can.")


@functools.lru_cache(maxsize=1024)
def _described(name: str, description: str) -> TaskType:
    options = json.loads(description)
    schema, backoff = options.pop("schema", None), options.pop("backoff", {})
    return TaskType(
        func=elsewhere,
        label=name,
        queue_name=options.pop("queue"),
        schema=None if schema is None else PayloadSchema(schema),
        backoff=Backoff(**backoff),
        external=True,
        **options,
    )


def external(name: str) -> TaskType | None:
    """The task of that name in the setting QUEUE_EXTERNAL_TASKS."""
    description = conf.get("EXTERNAL_TASKS").get(name)
    return None if description is None else _described(name, json.dumps(description))


def registered() -> list[str]:
    """The names of the tasks that Python code registered."""
    return sorted(_registered)


def names() -> list[str]:
    return sorted({*_registered, *conf.get("EXTERNAL_TASKS")})


def internal() -> list[str]:
    """The names of the tasks of our own workings."""
    return [name for name, task_type in sorted(_registered.items()) if task_type.internal]


def offered() -> list[str]:
    """The names of the tasks that people may submit."""
    return sorted(set(names()).difference(internal()))


def find(name: Any) -> TaskType | None:
    """The registered task of that name; None for anything else."""
    if not isinstance(name, str):
        return None
    return _registered.get(name) or external(name)


def get(name: str) -> TaskType:
    """The registered task of that name; raises UnknownTask."""
    found = find(name)
    if found is None:
        raise UnknownTask(name, names())
    return found


def resolve(name: str) -> TaskType:
    """Like `get`, and imports the module a stored task came from when no app has imported it yet."""
    if name in _registered:
        return _registered[name]
    module = name.rpartition(".")[0]
    for candidate in (f"{module}.tasks", module):
        try:
            importlib.import_module(candidate)
        except (ImportError, ValueError):
            continue
        if name in _registered:
            return _registered[name]
    return get(name)
