"""step_payload: the arguments of a task as it runs, with the results of earlier steps in their places."""

import json
from typing import Any

from queue_core import registry
from queue_core.errors import Discard, InvalidPayload
from queue_core.models import Task
from queue_core.references import MARK, key_of, look_up, replace
from queue_core.states import TaskState


def uses_results(text: str, workflow_id: int | None) -> bool:
    """Whether results have to be looked up for a payload."""
    return workflow_id is not None and f'"{MARK}"' in text


def step_payload(name: str, text: str, workflow_id: int | None) -> dict[str, Any]:
    """The payload of a task of that name, from its stored text. That keeps its references: a retry sees new results.

    Raises Discard when there is no such result, or when it is not what the task takes.
    """
    payload: dict[str, Any] = json.loads(text)
    if workflow_id is None or not uses_results(text, workflow_id):
        return payload
    wanted: set[str] = set()
    replace(json.loads(text), lambda reference: wanted.add(key_of(reference)))
    results = _results(workflow_id, wanted)
    replace(payload, lambda reference: look_up(reference, results[key_of(reference)]))
    task_type = registry.find(name)
    if task_type and (reasons := task_type.problems(payload)):
        raise Discard(f"The results of earlier steps do not fit. {InvalidPayload(reasons)}")
    return payload


def _results(workflow_id: int, keys: set[str]) -> dict[str, Any]:
    steps = Task.objects.filter(workflow=workflow_id, step__in=keys)
    rows = steps.values_list("step", "state", "result__value")
    found = {str(step): (state, value) for step, state, value in rows}
    for key in sorted(keys):
        state = found[key][0] if key in found else "no longer kept"
        if state != TaskState.SUCCEEDED:
            raise Discard(f"This task uses the result of step {key}, which is {state}.")
    return {key: value for key, (_, value) in found.items()}
