"""replay: run a finished task again as a new one, the old one kept as it is."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from queue_core import broker, lifecycle, origin, registry
from queue_core.models import DeadLetter, Task
from queue_core.services import audit
from queue_core.services.ids import checked_ids
from queue_core.services.open_letters import lock_open
from queue_core.services.outcome import plural
from queue_core.services.submit import text_for_tasks
from queue_core.states import FINAL

KEY_IS_TAKEN = "another live task has the unique key"
IS_INTERNAL = "made by Posthaste itself, which is retried instead"


def replay(
    ids: Sequence[int], *, payload: Mapping[str, Any] | None = None, by: audit.Actor | None = None
) -> dict[int, int]:
    """A new queued task for each of those that are final, with `replay_of` set; {old id: new id}.

    With `payload` (for the replay of a single task) the new one gets that instead. It has the same unique key: tasks
    whose key belongs to a live task by now are left alone, and so are those that are not final, and internal ones (see
    `registry.task`). Open dead letters of the others are resolved. Without a key each call makes a new task: see
    `replay_letters` for a guard.
    Raises InvalidSubmission for a payload that the task does not take.
    """
    ids = checked_ids(ids)
    with transaction.atomic():
        made = make_again(ids, payload=payload, by=by)
        if made:
            audit.record(Task, ids, _said(made, "task", payload), by=by)
    return made


def replay_letters(
    letter_ids: Sequence[int], *, payload: Mapping[str, Any] | None = None, by: audit.Actor | None = None
) -> dict[int, int]:
    """Replay the tasks of open dead letters; {old task id: new task id}. Pressed twice, the second finds none open.

    The letter of a task whose unique key belongs to a live task stays open.
    Raises InvalidSubmission for a payload that the task does not take.
    """
    with transaction.atomic():
        ids = list(lock_open(checked_ids(letter_ids, "letter_ids")).values())
        made = make_again(ids, payload=payload, by=by)
        if made:
            audit.record(DeadLetter, letter_ids, _said(made, "dead letter", payload), by=by)
    return made


def why_left(task: Task) -> str:
    """Why a replay left it alone, as what it is: "not over yet"."""
    if is_internal(task):
        return IS_INTERNAL
    return f"over, but {KEY_IS_TAKEN}" if task.state in FINAL else "not over yet"


def is_internal(task: Task) -> bool:
    """Whether it is one of those that are never replayed: what made it knows it by its id."""
    return task.name in registry.internal()


def make_again(ids: Sequence[int], *, payload: Mapping[str, Any] | None, by: audit.Actor | None) -> dict[int, int]:
    """What both do, unaudited."""
    text, lanes = (None, None) if payload is None else text_for_tasks(payload, ids)
    context = origin.current.get().stored()
    made = lifecycle.replay(ids, payload=text, lanes=lanes, by=audit.user_id(by), context=context)
    for queue in {queue for _, _, queue in made}:
        transaction.on_commit(partial(broker.ring, queue))
    return {old: new for new, old, _ in made}


def _said(made: Mapping[int, int], noun: str, payload: Mapping[str, Any] | None) -> str:
    return f"Replayed {plural(len(made), noun)}{'' if payload is None else ' with another payload'}."
