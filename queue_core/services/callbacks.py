"""callbacks: tasks that are submitted when a workflow ends, checked when it begins."""

import json
from collections.abc import Mapping
from typing import Any

from queue_core.errors import InvalidSubmission, UnknownQueue, UnknownTask
from queue_core.references import WORKFLOW_MARK, key_of, replace
from queue_core.services.settle import WORKFLOW_FACTS
from queue_core.services.submit import build

EVENTS = ("success", "failure", "complete")
OPTIONS = frozenset({"name", "payload", "queue", "priority", "max_attempts"})


def checked_callbacks(given: Any, keys: set[str], errors: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """{event: values of the task's row}, so that nothing can go wrong with them later. Adds to `errors` by field.

    `keys` are those of the steps, whose results callbacks may use.
    """
    if not isinstance(given, Mapping):
        errors["callbacks"] = [f"must be an object with {', '.join(EVENTS)}"]
        return {}
    rows = {}
    for event, wanted in given.items():
        try:
            rows[event] = _row(event, wanted, keys)
        except (UnknownTask, UnknownQueue, InvalidSubmission) as exc:
            field = f"callbacks.{event}" if exc.field == "" else f"callbacks.{event}.{exc.field}"
            errors[field] = [str(exc).removeprefix(f"{exc.field}: ")]
    return rows


def _row(event: Any, wanted: Any, keys: set[str]) -> dict[str, Any]:
    if event not in EVENTS:
        raise InvalidSubmission("", f"is no event of a workflow; there are {', '.join(EVENTS)}")
    if not isinstance(wanted, Mapping) or wanted.keys() - OPTIONS:
        raise InvalidSubmission("", f"must be an object of {', '.join(sorted(OPTIONS))}")
    options = dict(wanted)
    row = build(options.pop("name", ""), options.pop("payload", {}), has_references=True, **options)
    payload = json.loads(row.payload)
    _check_marks(row.payload, keys)
    return {
        "name": row.name,
        "queue": row.queue,
        "payload": payload,
        "priority": row.priority,
        "max_attempts": row.max_attempts,
        "max_crashes": row.max_crashes,
    }


def _check_marks(payload: str, keys: set[str]) -> None:
    results: set[str] = set()
    facts: set[str] = set()
    try:
        replace(json.loads(payload), lambda reference: results.add(key_of(reference)))
        replace(json.loads(payload), facts.add, mark=WORKFLOW_MARK)
    except ValueError as exc:
        raise InvalidSubmission("payload", str(exc)) from None
    if unknown := sorted(results - keys):
        raise InvalidSubmission("payload", f"uses the result of {unknown[0]!r}, which is no step")
    if unknown := sorted(facts - set(WORKFLOW_FACTS)):
        raise InvalidSubmission(
            "payload", f"{WORKFLOW_MARK} is one of: {', '.join(WORKFLOW_FACTS)}; not {unknown[0]!r}"
        )
