"""submit: ask for a task. The row is written in the caller's transaction; the bell rings when it commits."""

import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_values
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q

from queue_core import broker, conf, lifecycle, origin, registry
from queue_core.errors import InvalidPayload, InvalidSubmission, UnknownQueue, shown
from queue_core.lanes import checked_key
from queue_core.models import Task
from queue_core.references import unknown_yet
from queue_core.services import audit
from queue_core.services.depend import Parents, checked_parents, depend, lock_parents, unknown
from queue_core.services.expiry import check_expiry
from queue_core.states import OnFailure

PRIORITIES = range(-100, 101)
ATTEMPTS = range(1, 1001)
BULK_SLICE = 5_000


@dataclass(frozen=True, slots=True)
class Submitted:
    """`created` is False when `unique_key` named a task that is still live: that one's id is answered."""

    id: int
    created: bool


def _checked_queue(name: str) -> str:
    if not isinstance(name, str) or name not in conf.queues():
        raise UnknownQueue(name, conf.queues())
    return name


_YEARS = range(1970, 2201)


def check_served(queue: str, tasks: Iterable[str]) -> None:
    """Raise InvalidSubmission unless those who serve the queue can run the tasks of these names."""
    ours = queue not in conf.external_queues()
    for name in tasks:
        known = registry.find(name)
        if known and known.external == ours:
            who = "worker processes" if ours else "workers of the pull protocol"
            raise InvalidSubmission("queue", f"{queue} is served by {who}, which cannot run {name}")


def payload_text(payload: Any, task_type: registry.TaskType | None, *, has_references: bool = False) -> str:
    """JSON text of a payload for a task; InvalidSubmission says why it cannot be one. None: a task nobody knows.

    Where it `has_references` to results, the members that hold them are checked when the task runs.
    """
    if not isinstance(payload, Mapping) or not all(isinstance(key, str) for key in payload):
        raise InvalidSubmission("payload", "must be an object with text keys")
    try:
        text = lifecycle.dump_json(dict(payload), max_bytes=conf.get("PAYLOAD_MAX_BYTES"), what="the payload")
    except ValueError as exc:
        raise InvalidSubmission("payload", str(exc)) from None
    reasons = task_type.problems(payload) if task_type else []
    if reasons and has_references:
        later = unknown_yet(payload)
        reasons = [(path, reason) for path, reason in reasons if path.partition(".")[0] not in later]
    if reasons:
        raise InvalidPayload(reasons)
    return text


def text_for_tasks(payload: Any, ids: Sequence[int]) -> tuple[str, str]:
    """(JSON text, checked for each of these tasks; JSON text with the lanes that it puts them in, by their names).

    One whose name is registered no more takes any object. Raises InvalidSubmission.
    """
    text, lanes = payload_text(payload, None), {}
    tasks = Task.objects.filter(pk__in=ids).annotate(may_refer=Q(workflow__isnull=False)).order_by()
    for name, may_refer in tasks.values_list("name", "may_refer").distinct():
        known = registry.find(name)
        if known and known.internal:
            raise InvalidSubmission("payload", f"{name} is made by Posthaste itself, and so is its payload")
        payload_text(payload, known, has_references=may_refer)
        if known and known.key is not None:
            lanes[name] = _lane(known, payload, None)
    return text, json.dumps(lanes)


def _checked_number(field: str, value: Any, allowed: range) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise InvalidSubmission(field, f"must be a whole number from {allowed[0]} to {allowed[-1]}")
    return value


def _checked_time(field: str, value: Any) -> datetime.datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        raise InvalidSubmission(field, "must be a time with a time zone")
    # What PostgreSQL stores beyond Python's years, or a few hours from them, no row with it can be read again.
    if value.year not in _YEARS:
        raise InvalidSubmission(field, f"must be a time in the years {_YEARS[0]} to {_YEARS[-1]}")
    return value


def is_word(value: Any, longest: int) -> bool:
    """A text that can be stored: NUL and surrogates cannot."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= longest
        and not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in value)
    )


def _checked_tags(tags: Any) -> list[str]:
    if not isinstance(tags, list | tuple) or len(tags) > 32 or not all(is_word(tag, 64) for tag in tags):
        raise InvalidSubmission("tags", "must be a list of at most 32 texts of 1 to 64 characters")
    return list(dict.fromkeys(tags))


def _checked_options(options: dict[str, Any]) -> dict[str, Any]:
    run_at, expires_at = (_checked_time(field, options.pop(field, None)) for field in ("run_at", "expires_at"))
    delay, key, tags = options.pop("delay", 0.0), options.pop("unique_key", None), options.pop("tags", ())
    if options:
        raise InvalidSubmission(min(options), "is not an option of a task")
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < 10 * 366 * 86_400:
        raise InvalidSubmission("delay", "must be a number of seconds from 0 to ten years")
    if run_at is not None and delay:
        raise InvalidSubmission("delay", "says the same as run_at; give one of them")
    if key is not None and not is_word(key, 200):
        raise InvalidSubmission("unique_key", "must be a text of 1 to 200 characters")
    return {
        "run_at": run_at,
        "expires_at": expires_at,
        "delay": float(delay),
        "unique_key": key,
        "tags": tuple(_checked_tags(tags)),
    }


def checked_changes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `queue priority max_attempts run_at tags` that are given, as a row has them. Raises as `build` does."""
    checks: dict[str, Callable[[Any], Any]] = {
        "queue": _checked_queue,
        "priority": lambda value: _checked_number("priority", value, PRIORITIES),
        "max_attempts": lambda value: _checked_number("max_attempts", value, ATTEMPTS),
        "run_at": lambda value: _checked_time("run_at", value),
        "tags": _checked_tags,
    }
    if empty := sorted(field for field, value in values.items() if value is None):
        raise InvalidSubmission(empty[0], "cannot be emptied; give a value, or leave it out")
    return {field: check(values[field]) for field, check in checks.items() if field in values}


def _lane(task_type: registry.TaskType, payload: Mapping[str, Any], key: Any) -> str:
    try:
        return task_type.lane(task_type.key_for(payload) if key is None else checked_key(key))
    except ValueError as exc:
        raise InvalidSubmission("key", str(exc)) from None


def build(
    name: str | registry.TaskType,
    payload: Mapping[str, Any] | None = None,
    *,
    has_references: bool = False,
    **options: Any,
) -> lifecycle.NewTask:
    """Check a submission and make its row. Raises UnknownTask, UnknownQueue or InvalidSubmission."""
    task_type = registry.get(name.name if isinstance(name, registry.TaskType) else name)
    queue, priority, attempts, key = (options.pop(each, None) for each in ("queue", "priority", "max_attempts", "key"))
    queue = _checked_queue(task_type.queue_name if queue is None else queue)
    check_served(queue, [task_type.name])
    return lifecycle.NewTask(
        name=task_type.name,
        queue=queue,
        payload=payload_text({} if payload is None else payload, task_type, has_references=has_references),
        priority=task_type.priority if priority is None else _checked_number("priority", priority, PRIORITIES),
        max_attempts=(
            task_type.max_attempts if attempts is None else _checked_number("max_attempts", attempts, ATTEMPTS)
        ),
        max_crashes=task_type.max_crashes,
        context=origin.current.get().stored(),
        lane=_lane(task_type, payload or {}, key),
        **_checked_options(options),
    )


def build_given(given: Mapping[Any, Any], *, has_references: bool = False) -> lifecycle.NewTask:
    """`build` of whatever a mapping of its arguments holds."""
    options = dict(given)
    name, payload = options.pop("name", None), options.pop("payload", None)
    if not isinstance(name, str | registry.TaskType):
        raise InvalidSubmission("name", "must be the name of a registered task")
    if strange := [key for key in options if not isinstance(key, str) or key == "has_references"]:
        raise InvalidSubmission(shown(strange[0]), "is not an option of a task")
    return build(name, payload, has_references=has_references, **options)


def submit(
    name: str | registry.TaskType,
    payload: Mapping[str, Any] | None = None,
    *,
    depends_on: Sequence[int] = (),
    on_parent_failure: str = OnFailure.CANCEL,
    by: audit.Actor | None = None,
    **options: Any,
) -> Submitted:
    """Ask for one task, by its name or its decorated function.

    Options: `queue`, `priority` (-100..100, higher first), `run_at` (aware datetime) or `delay` (seconds),
    `expires_at` (not started by then: expired; it lies after `run_at`), `max_attempts`, `tags`, `unique_key` (at most
    one live task of this name has it; a second submission answers the first), `key` (whose task it is, for limits by
    key and fair turns).
    With `depends_on` it is blocked until those tasks have ended; when one of them does not succeed, it is cancelled, or
    runs all the same (`on_parent_failure="continue"`).
    """
    row = build(name, payload, **options)
    check_expiry([row])
    parents = checked_parents(depends_on, on_parent_failure)
    if by is None and not parents.ids:
        return _submitted(row)
    with transaction.atomic():
        submitted = _submitted_behind(row, parents) if parents.ids else _submitted(row)
        if submitted.created:
            audit.record(
                Task,
                [submitted.id],
                "Submitted 1 task.",
                by=by,
                flag=audit.ADDITION,
                name=f"{row.name} #{submitted.id}",
            )
    return submitted


def _submitted_behind(row: lifecycle.NewTask, parents: Parents) -> Submitted:
    """Submit a task that waits for others."""
    (missing,) = lock_parents([parents])
    if missing:
        raise InvalidSubmission("depends_on", unknown(missing))
    submitted = _submitted(with_values(row, waits_for=len(parents.ids)))
    if submitted.created:
        depend([(submitted.id, parents)])
    return submitted


def _submitted(row: lifecycle.NewTask) -> Submitted:
    while True:
        ids = lifecycle.insert([row])
        if ids:
            transaction.on_commit(partial(broker.ring, row.queue))
            return Submitted(ids[0], True)
        live = Task.objects.live().filter(name=row.name, unique_key=row.unique_key).values_list("pk", flat=True).first()
        if live is not None:
            return Submitted(live, False)
        # The one that was in the way ended between the two statements: try again.


def submit_many(rows: Sequence[lifecycle.NewTask]) -> list[int]:
    """Insert rows made by `build`, all or nothing; ids in order. A live unique key in the way is left out."""
    if not all(isinstance(row, lifecycle.NewTask) for row in rows):
        raise InvalidSubmission("rows", "are made by build(); submit_batch() takes names and payloads")
    check_expiry(rows)
    ids: list[int] = []
    with transaction.atomic():
        for start in range(0, len(rows), BULK_SLICE):
            ids += lifecycle.insert(rows[start : start + BULK_SLICE])
        for queue in {row.queue for row in rows}:
            transaction.on_commit(partial(broker.ring, queue))
    return ids
