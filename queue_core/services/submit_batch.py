"""submit_batch: ask for many tasks at once, all or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction

from queue_core import conf
from queue_core.errors import InvalidSubmission, NothingSubmitted, UnknownQueue, UnknownTask, shown
from queue_core.lifecycle import NewTask
from queue_core.models import Task
from queue_core.services import audit
from queue_core.services.depend import Parents, checked_parents, depend, lock_parents, unknown
from queue_core.services.expiry import expiry_faults
from queue_core.services.outcome import plural
from queue_core.services.submit import Submitted, build_given, submit_many
from queue_core.states import OnFailure


class InvalidBatch(NothingSubmitted):
    """`errors` names submissions by their place: {"tasks.3.queue": [reason]}."""


def submit_batch(submissions: Sequence[Mapping[str, Any]], *, by: audit.Actor | None = None) -> list[Submitted]:
    """Submit each mapping of the arguments of `submit`; answers in order. Raises InvalidBatch, then nothing is done.

    The tasks that one of them `depends_on` must be there before the batch; for tasks that wait for each other see
    `submit_workflow`. A unique key that belongs to a live task, also to one earlier in the batch, answers that task.
    """
    rows, parents = _built(submissions)
    plain = [row for row in rows if row.unique_key is None]
    with transaction.atomic():
        _lock_parents(parents)
        ids = iter(submit_many(plain))
        keyed = _submit_keyed([row for row in rows if row.unique_key is not None])
        submitted = [
            Submitted(next(ids), True) if row.unique_key is None else _told(keyed, (row.name, row.unique_key))
            for row in rows
        ]
        children: dict[int, Parents] = {}
        for one, its in zip(submitted, parents, strict=True):
            if one.created:
                children.setdefault(one.id, its)
        depend(list(children.items()))
        if made := sorted({one.id for one in submitted if one.created}):
            audit.record(Task, made, f"Submitted {plural(len(made), 'task')}.", by=by, flag=audit.ADDITION)
    return submitted


def _told(keyed: dict[tuple[str, str], Submitted], key: tuple[str, str]) -> Submitted:
    """The task of a unique key, which is new to the first that asks only."""
    found = keyed[key]
    keyed[key] = Submitted(found.id, False)
    return found


def _built(submissions: Any) -> tuple[list[NewTask], list[Parents]]:
    if not isinstance(submissions, list | tuple):
        raise InvalidBatch({"tasks": ["must be a list of objects with the arguments of submit()"]})
    rows, parents, errors = [], [], {}
    for index, submission in enumerate(submissions):
        if not isinstance(submission, Mapping):
            errors[f"tasks.{index}"] = [f"must be an object, not {shown(submission)}"]
            continue
        options = dict(submission)
        try:
            its = checked_parents(options.pop("depends_on", ()), options.pop("on_parent_failure", OnFailure.CANCEL))
            rows.append(replace(build_given(options), waits_for=len(its.ids)))
            parents.append(its)
        except (UnknownTask, UnknownQueue, InvalidSubmission) as exc:
            errors[f"tasks.{index}.{exc.field}"] = [str(exc).removeprefix(f"{exc.field}: ")]
    if not errors:
        errors = {f"tasks.{place}.expires_at": [fault] for place, fault in expiry_faults(rows).items()}
    edges, most = sum(len(its.ids) for its in parents), conf.get("WORKFLOW_EDGES_MAX")
    if edges > most:
        errors["tasks"] = [f"depend on {edges} tasks in all; {most} are allowed"]
    if errors:
        raise InvalidBatch(errors)
    return rows, parents


def _lock_parents(parents: Sequence[Parents]) -> None:
    errors = {
        f"tasks.{index}.depends_on": [unknown(missing)]
        for index, missing in enumerate(lock_parents(parents))
        if missing
    }
    if errors:
        raise InvalidBatch(errors)


def _submit_keyed(rows: Sequence[NewTask]) -> dict[tuple[str, str], Submitted]:
    """The live task of each (name, unique key)."""
    found: dict[tuple[str, str], Submitted] = {}
    while missing := [row for row in rows if (row.name, row.unique_key) not in found]:
        # In one order everywhere: two batches with the same keys wait for each other, but never both ways round.
        created = set(submit_many(sorted(missing, key=lambda row: (row.name, str(row.unique_key)))))
        live = Task.objects.live().filter(unique_key__in={row.unique_key for row in missing})
        for pk, name, key in live.values_list("pk", "name", "unique_key"):
            found[name, str(key)] = Submitted(pk, pk in created)
        # One that was in the way ended between the two statements: try again.
    return found
