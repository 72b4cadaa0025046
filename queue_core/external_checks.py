"""What may be wrong with QUEUE_EXTERNAL_TASKS."""

from collections.abc import Callable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error

from queue_core import conf, registry
from queue_core.schemas import PayloadSchema


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9


def _is_backoff(value: Any) -> bool:
    return (
        isinstance(value, dict) and set(value) <= {"base", "factor", "cap"} and all(map(_is_positive, value.values()))
    )


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict) and not PayloadSchema(value).fault


def _takes(option: str) -> Callable[[Any], bool]:
    return lambda value: value is not None and not registry.limit_fault(option, value)


# option -> (what it must be, in words; whether a value is)
_OPTIONS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "queue": ("one of QUEUES", lambda value: isinstance(value, str) and value in conf.queues()),
    "priority": (
        "a whole number from -100 to 100",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and -100 <= value <= 100,
    ),
    "max_attempts": ("a whole number from 1 to 1000", _is_count),
    "max_crashes": ("a whole number from 1 to 1000", _is_count),
    "retry_until": ("a number of seconds above 0", _is_positive),
    "timeout": ("a number of seconds above 0", _is_positive),
    "backoff": ('seconds such as {"base": 2, "factor": 2, "cap": 3600}', _is_backoff),
    "schema": ("a JSON Schema of the payload", _is_schema),
    "max_running": ("a whole number from 1 to 1000000", _takes("max_running")),
    "rate": ("a rate such as 100/m", _takes("rate")),
    "key": ("a path into the payload such as customer.id", lambda value: isinstance(value, str) and bool(value)),
    "key_max_running": ("a whole number from 1 to 1000000", _takes("key_max_running")),
    "key_rate": ("a rate such as 100/m", _takes("key_rate")),
}


def check_external_tasks(tasks: Any) -> list[CheckMessage]:
    """Names, options and queues of tasks that are run elsewhere."""
    if not isinstance(tasks, dict):
        return [_error(f"QUEUE_EXTERNAL_TASKS must be a dictionary of tasks by name, not {tasks!r}.")]
    found = [_error(text) for name, options in tasks.items() for text in _faults(name, options)]
    return found or [_error(text) for text in _shared_queues()]


def _faults(name: Any, options: Any) -> Iterator[str]:
    if not isinstance(name, str) or not 0 < len(name) <= 200 or {"/", ":"} & set(name) or not name.isprintable():
        yield f"{name!r} cannot be the name of a task: 1 to 200 printable characters, no slash, no colon."
    elif name in registry.registered():
        yield f"{name!r} is a task of this project already; give the external one another name."
    if not isinstance(options, dict) or "queue" not in options:
        yield f'{name!r} needs a queue of its own kind: {{"queue": "images"}}.'
        return
    for option, value in options.items():
        words, fits = _OPTIONS.get(option, ("", lambda _: False))
        if not fits(value):
            known = f"must be {words}" if words else f"is no option; there are {', '.join(_OPTIONS)}"
            yield f"{option} of {name!r} {known}: {value!r}."


def _shared_queues() -> Iterator[str]:
    """External queues that tasks of ours would go to, too, or that leave none for ours."""
    external = conf.external_queues()
    for name in registry.registered():
        task_type = registry.get(name)
        if task_type.queue_name in external:
            yield f"The queue {task_type.queue_name} is external, but the task {name} goes to it; use another queue."
    if external and not conf.own_queues():
        yield "Every queue of QUEUES is external; worker processes need at least one."


def _error(text: str) -> CheckMessage:
    hint = 'For example {"image.resize": {"queue": "images", "max_attempts": 3, "timeout": 60}}.'
    return Error(f"QUEUE_EXTERNAL_TASKS: {text}", hint=hint, id="queue_core.E009")
