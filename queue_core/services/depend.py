"""depend: what tasks wait for, of submissions by `depends_on`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from queue_core import broker, conf, lifecycle
from queue_core.errors import InvalidSubmission
from queue_core.services.ids import is_id
from queue_core.states import OnFailure


@dataclass(frozen=True, slots=True)
class Parents:
    ids: tuple[int, ...] = ()
    on_failure: str = OnFailure.CANCEL


def checked_policy(value: Any, field: str = "on_parent_failure") -> str:
    if value not in OnFailure.values:
        raise InvalidSubmission(field, f"must be one of: {', '.join(OnFailure.values)}")
    return str(value)


def checked_parents(depends_on: Any, on_parent_failure: Any) -> Parents:
    """What a submission says it waits for; InvalidSubmission for anything that cannot be an id."""
    policy, most = checked_policy(on_parent_failure), conf.get("WORKFLOW_STEPS_MAX")
    if not isinstance(depends_on, list | tuple) or len(depends_on) > most or not all(map(is_id, depends_on)):
        raise InvalidSubmission("depends_on", f"must be a list of at most {most} ids of tasks")
    return Parents(tuple(dict.fromkeys(depends_on)), policy)


def lock_parents(parents: Sequence[Parents]) -> list[list[int]]:
    """Keep parents from ending until the caller's transaction is over; for each submission the ids that are unknown."""
    wanted = {pk for one in parents for pk in one.ids}
    known = lifecycle.lock_parents(wanted) if wanted else set()
    return [[pk for pk in one.ids if pk not in known] for one in parents]


def unknown(missing: Sequence[int]) -> str:
    shown = ", ".join(map(str, missing[:10])) + (" …" if len(missing) > 10 else "")
    return f"there is no task {shown}" if len(missing) == 1 else f"there are no tasks {shown}"


def depend(children: Sequence[tuple[int, Parents]]) -> None:
    """Let new tasks wait for their parents, which are locked. One whose parents are over already is settled at once."""
    edges = [(child, pk, parents.on_failure) for child, parents in children for pk in parents.ids]
    if edges:
        for queue in lifecycle.depend(edges):
            transaction.on_commit(partial(broker.ring, queue))
