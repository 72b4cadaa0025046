"""Wrong settings are said at the start, not found at night."""

import logging
import math
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from queue_core import conf, registry
from queue_core.external_checks import check_external_tasks
from queue_core.states import FINAL

# A hundred years.
_DAYS_MAX = 36_525
_BACKEND = "queue_core.backend.PosthasteBackend"


@register("queue_core")
def check_knobs(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """QUEUE_* settings: known, and positive numbers."""
    special = {
        "KEEP_DAYS": _check_keep_days,
        "LOG_LEVEL": _check_log_level,
        "EXTERNAL_TASKS": check_external_tasks,
    }
    found: list[CheckMessage] = []
    for name in dir(settings):
        if not name.startswith("QUEUE_"):
            continue
        knob, value = name.removeprefix("QUEUE_"), getattr(settings, name)
        if knob not in conf.DEFAULTS:
            known = ", ".join(f"QUEUE_{known}" for known in conf.DEFAULTS)
            found.append(Error(f"{name} is not a setting of the queue.", hint=f"Known: {known}.", id="queue_core.E001"))
        elif knob in special:
            found += special[knob](value)
        elif not _is_like(conf.DEFAULTS[knob], value):
            kind = "whole number" if isinstance(conf.DEFAULTS[knob], int) else "number"
            found.append(Error(f"{name} must be a {kind} above 0, not {value!r}.", id="queue_core.E002"))
    if not found and conf.get("LEASE_SECONDS") < 2 * conf.get("HEARTBEAT_SECONDS"):
        found.append(
            Error(
                "QUEUE_LEASE_SECONDS must be at least twice QUEUE_HEARTBEAT_SECONDS.",
                hint="A single late heartbeat would take all tasks from a healthy worker.",
                id="queue_core.E003",
            )
        )
    return found


def _is_like(default: Any, value: Any) -> bool:
    kinds = int if isinstance(default, int) else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf


def _check_log_level(value: Any) -> list[CheckMessage]:
    levels = logging.getLevelNamesMapping()
    if isinstance(value, str) and value in levels:
        return []
    hint = f"One of {', '.join(levels)}."
    return [Error(f"QUEUE_LOG_LEVEL is no level: {value!r}.", hint=hint, id="queue_core.E008")]


def _is_days(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _DAYS_MAX


def _check_keep_days(value: Any) -> list[CheckMessage]:
    """{state: days, queue: {state: days}}"""
    plain = {key: days for key, days in value.items() if not isinstance(days, dict)} if isinstance(value, dict) else {}
    rules = [plain, *(days for days in value.values() if isinstance(days, dict))] if isinstance(value, dict) else []
    if rules and all(state in FINAL and _is_days(days) for rule in rules for state, days in rule.items()):
        nowhere = [key for key, days in value.items() if isinstance(days, dict) and key not in settings.QUEUES]
        hint = "Correct its name, or add it to QUEUES."
        return [
            Error(f"QUEUE_KEEP_DAYS names {queue!r}, but there is no such queue.", hint=hint, id="queue_core.E010")
            for queue in nowhere
        ]
    return [
        Error(
            f"QUEUE_KEEP_DAYS cannot be read: {value!r}.",
            hint='Days by final state, or by queue and state: {"succeeded": 7, "mail": {"succeeded": 90}}.',
            id="queue_core.E005",
        )
    ]


@register("queue_core")
def check_schemas(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Schemas of registered tasks: a broken one would refuse every payload."""
    found: list[CheckMessage] = []
    for name in registry.registered():
        schema = registry.get(name).schema
        if schema is not None and schema.fault:
            hint = "Correct schema= of its @task, or give schema=None to take any object."
            found.append(
                Error(f"The schema of task {name} is broken: {schema.fault}.", hint=hint, id="queue_core.E006")
            )
    return found


@register("queue_core")
def check_queues(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """QUEUES: names that fit their column and a command line."""
    names = list(settings.QUEUES) if isinstance(settings.QUEUES, list | tuple) else []
    bad = [
        name
        for name in names
        if not isinstance(name, str)
        or not name
        or len(name) > 64
        or not name.replace("-", "").replace("_", "").isalnum()
    ]
    if bad or not names or len(set(names)) != len(names):
        return [
            Error(
                f"QUEUES is not a list of different queue names: {settings.QUEUES!r}.",
                hint="Letters, digits, - and _, at most 64; for example QUEUES=high,default,low.",
                id="queue_core.E004",
            )
        ]
    return []


@register("queue_core")
def check_backend(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """TASKS: Django's own `@task` functions come here."""
    tasks = getattr(settings, "TASKS", {})
    default = tasks.get("default") if isinstance(tasks, dict) else None
    if isinstance(default, dict) and default.get("BACKEND") == _BACKEND:
        return []
    return [
        Error(
            "The default backend of TASKS is not this queue: its tasks would not be registered.",
            hint=f'TASKS = {{"default": {{"BACKEND": "{_BACKEND}", "QUEUES": QUEUES}}}}',
            id="queue_core.E007",
        )
    ]
