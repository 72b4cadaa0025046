"""submit_workflow: ask for tasks that wait for each other, all or nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace as with_values
from typing import Any

from django.db import transaction

from queue_core import conf, graph, lifecycle
from queue_core.errors import InvalidSubmission, NothingSubmitted, UnknownQueue, UnknownTask
from queue_core.lifecycle import NewTask
from queue_core.models import Workflow
from queue_core.references import MARK, WORKFLOW_MARK, key_of, replace
from queue_core.services import audit
from queue_core.services.callbacks import checked_callbacks
from queue_core.services.depend import checked_policy
from queue_core.services.expiry import expiry_faults
from queue_core.services.outcome import plural
from queue_core.services.submit import build_given, is_word, submit_many
from queue_core.states import OnFailure

_SHOWN_OF_CYCLE = 20


class InvalidWorkflow(NothingSubmitted):
    """`errors` names steps: {"steps.3.payload": [reason]}."""


class _Step:
    """One step as it was given, with what is known of it so far. `parents`: {key: policy}."""

    def __init__(self) -> None:
        self.key = ""
        self.row: NewTask | None = None
        self.parents: dict[str, str] = {}
        self.uses: set[str] = set()


def submit_workflow(
    name: str,
    steps: Sequence[Mapping[str, Any]],
    *,
    callbacks: Mapping[str, Any] | None = None,
    by: audit.Actor | None = None,
) -> Workflow:
    """Submit steps `{"key"?, "name", "payload"?, "depends_on"?: [keys], "on_failure"?, …}` as one workflow.

    Without a key a step has its place in the list, from "0". Further members are options of `submit`, without
    `unique_key`. Steps that wait for nothing are a batch: what counts is how all of them end.
    `on_failure` says what becomes of the step when one of those it depends on does not succeed: "cancel" (it is
    cancelled too) or "continue" (it runs all the same); an entry of `depends_on` may also be {"key", "on_failure"} for
    itself. `{"$result": "key.path"}` in a payload is replaced by that part of what the earlier step returned.
    `callbacks`: {"success", "failure" or "complete": {"name", "payload"?, "queue"?, "priority"?, "max_attempts"?}},
    submitted when the workflow ends.
    Raises InvalidWorkflow with everything that is wrong, then nothing is done.
    """
    errors: dict[str, list[str]] = {}
    if not is_word(name, 200):
        errors["name"] = ["must be a text of 1 to 200 characters"]
    checked = _checked(steps, errors)
    fired = checked_callbacks(callbacks or {}, {step.key for step in checked}, errors)
    if errors:
        raise InvalidWorkflow(errors)
    with transaction.atomic():
        pk = lifecycle.new_workflow(name, len(checked), fired, audit.user_id(by))
        workflow = Workflow.objects.get(pk=pk)
        rows = [_row(step, workflow.pk) for step in checked]
        ids = dict(zip((step.key for step in checked), submit_many(rows), strict=True))
        lifecycle.add_edges(
            [(ids[step.key], ids[parent], policy) for step in checked for parent, policy in step.parents.items()]
        )
        message = f"Submitted {plural(len(ids), 'step')}."
        audit.record(Workflow, [workflow.pk], message, by=by, flag=audit.ADDITION, name=str(workflow))
    return workflow


def _row(step: _Step, workflow_id: int) -> NewTask:
    assert step.row is not None  # noqa: S101 - an error was raised otherwise
    return with_values(step.row, waits_for=len(step.parents), workflow_id=workflow_id, step=step.key)


def _checked(steps: Any, errors: dict[str, list[str]]) -> list[_Step]:
    most = conf.get("WORKFLOW_STEPS_MAX")
    if not isinstance(steps, list | tuple) or not 0 < len(steps) <= most:
        errors["steps"] = [f"must be a list of 1 to {most} steps"]
        return []
    checked = [_step(index, given, errors) for index, given in enumerate(steps)]
    places: dict[str, int] = {}
    for index, step in enumerate(checked):
        first = places.setdefault(step.key, index)
        if first != index and step.key:
            errors[f"steps.{index}.key"] = [f"step {first} has the key {step.key!r} already; keys must differ"]
    for index, step in enumerate(checked):
        if missing := [key for key in step.parents if key not in places]:
            errors[f"steps.{index}.depends_on"] = [f"there is no step {missing[0]!r}"]
    if not errors:
        rows = [step.row for step in checked if step.row is not None]
        errors |= {f"steps.{place}.expires_at": [fault] for place, fault in expiry_faults(rows).items()}
        _check_graph(checked, errors)
    return checked


def _step(index: int, given: Any, errors: dict[str, list[str]]) -> _Step:
    step = _Step()
    if not isinstance(given, Mapping):
        errors[f"steps.{index}"] = ["must be an object"]
        return step
    options = dict(given)
    try:
        step.key = _checked_key(options.pop("key", str(index)))
        step.parents = _checked_edges(options.pop("depends_on", ()), options.pop("on_failure", OnFailure.CANCEL))
        if "unique_key" in options:
            raise InvalidSubmission("unique_key", "is not for steps: they are new with each workflow")
        step.row = build_given(options, has_references=True)
        step.uses = _uses(step.row.payload)
        _check_no_facts(step.row.payload)
    except (UnknownTask, UnknownQueue, InvalidSubmission) as exc:
        errors[f"steps.{index}.{exc.field}"] = [str(exc).removeprefix(f"{exc.field}: ")]
    return step


def _checked_key(key: Any) -> str:
    if not is_word(key, 200) or "." in key:
        raise InvalidSubmission("key", "must be a text of 1 to 200 characters without a dot")
    return str(key)


def _checked_edges(given: Any, policy: Any) -> dict[str, str]:
    """{key of a parent: policy}, from a list of keys or of {"key", "on_failure"}."""
    policy = checked_policy(policy, "on_failure")
    if not isinstance(given, list | tuple):
        raise InvalidSubmission("depends_on", "must be a list of keys of steps")
    edges: dict[str, str] = {}
    for entry in given:
        if isinstance(entry, Mapping):
            key, own = entry.get("key"), entry.get("on_failure", policy)
            if set(entry) - {"key", "on_failure"}:
                raise InvalidSubmission("depends_on", 'an object has "key" and "on_failure", nothing else')
        else:
            key, own = entry, policy
        if not isinstance(key, str):
            raise InvalidSubmission("depends_on", "must be a list of keys of steps")
        edges[key] = checked_policy(own, "depends_on")
    return edges


def _uses(payload: str) -> set[str]:
    """Keys of the steps whose results a payload uses."""
    found: set[str] = set()
    if f'"{MARK}"' in payload:
        try:
            replace(json.loads(payload), lambda reference: found.add(key_of(reference)))
        except ValueError as exc:
            raise InvalidSubmission("payload", str(exc)) from None
    return found


def _check_no_facts(payload: str) -> None:
    """What is known of a workflow when it ends can be put into its callbacks only."""
    found: list[str] = []
    if f'"{WORKFLOW_MARK}"' in payload:
        try:
            replace(json.loads(payload), found.append, mark=WORKFLOW_MARK)
        except ValueError:
            found.append("")
    if found:
        raise InvalidSubmission("payload", f'{{"{WORKFLOW_MARK}": …}} is for callbacks; steps begin before it is known')


def _check_graph(steps: Sequence[_Step], errors: dict[str, list[str]]) -> None:
    edges, most = sum(len(step.parents) for step in steps), conf.get("WORKFLOW_EDGES_MAX")
    if edges > most:
        errors["steps"] = [f"have {edges} dependencies; {most} are allowed. Let a step in between gather some"]
        return
    parents = {step.key: list(step.parents) for step in steps}
    if round_trip := graph.cycle(parents):
        errors["steps"] = [f"wait for each other in a cycle: {_shown(round_trip)}. Take one of these dependencies out"]
    elif any(step.uses for step in steps):
        _check_uses(steps, parents, errors)


def _shown(path: Sequence[str]) -> str:
    if len(path) > _SHOWN_OF_CYCLE:
        path = [*path[: _SHOWN_OF_CYCLE - 1], f"… ({len(path) - _SHOWN_OF_CYCLE} more) …", path[-1]]
    return " → ".join(path)


def _check_uses(steps: Sequence[_Step], parents: graph.Graph, errors: dict[str, list[str]]) -> None:
    above = graph.ancestors(parents)
    bit = {key: 1 << index for index, key in enumerate(parents)}
    for index, step in enumerate(steps):
        later = sorted(key for key in step.uses if not above[step.key] & bit.get(key, 0))
        if later:
            errors[f"steps.{index}.payload"] = [
                f"uses the result of {later[0]!r}, which is no step before this one; let it depend on that"
            ]
