"""What the bulk verbs do to a slice of tasks or dead letters. Rows are locked first, so that the reasons are true."""

import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from queue_core import broker, lifecycle, origin, search
from queue_core.bulk import BadParams, Slice, Target, bulk_verb
from queue_core.errors import InvalidSubmission, QueueError
from queue_core.models import DeadLetter, Task
from queue_core.services.delete_tasks import NEEDED, PINNED
from queue_core.services.open_letters import lock_open
from queue_core.services.replay import IS_INTERNAL, is_internal
from queue_core.services.settle import settle_on_commit
from queue_core.services.submit import check_served, checked_changes
from queue_core.states import FINAL, LIVE, TaskState


def _tasks(query: str, now: datetime.datetime) -> QuerySet[Task]:
    return Task.objects.filter(search.condition(search.parse(query), now=now).q)


def _open_letters(query: str, now: datetime.datetime) -> QuerySet[DeadLetter]:
    return DeadLetter.objects.filter(search.letters(search.parse(query), now=now), resolution="")


TASKS = Target(Task, _tasks)
LETTERS = Target(DeadLetter, _open_letters)
_CHANGE, _DELETE = "queue_core.change_task", "queue_core.delete_task"
_LETTER = "queue_core.change_deadletter"
_KEY_IS_TAKEN = "its unique key belongs to a task that waits or runs"


def _locked(ids: Sequence[int]) -> dict[int, Task]:
    tasks = Task.objects.filter(pk__in=ids).order_by("pk").select_for_update()
    return {task.pk: task for task in tasks.only("name", "state", "step", "pinned", "queue", "cancel_requested_at")}


def _slice(
    ids: Sequence[int], changed: Collection[int], tasks: Mapping[int, Task], why: Callable[[Task], str]
) -> Slice:
    left = set(ids).difference(changed)
    return Slice(len(changed), {pk: why(tasks[pk]) if pk in tasks else "is not there" for pk in sorted(left)})


def _ring(queues: Collection[str]) -> None:
    for queue in queues:
        transaction.on_commit(partial(broker.ring, queue))


@bulk_verb("retry", TASKS, permission=_CHANGE, done="Retried")
def retry(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    tasks = _locked(ids)
    moved = lifecycle.retry(ids, by=user)
    _ring({queue for _, queue in moved})

    def why(task: Task) -> str:
        if task.state in (TaskState.FAILED, TaskState.CANCELLED):
            if task.step is not None:
                return "is a step of a workflow that is being cancelled"
            return _KEY_IS_TAKEN
        return f"is {task.state}, not failed or cancelled"

    return _slice(ids, {pk for pk, _ in moved}, tasks, why)


def _unreplayed(task: Task) -> str:
    if is_internal(task):
        return f"is {IS_INTERNAL}"
    return _KEY_IS_TAKEN if task.state in FINAL else f"is {task.state}, not over"


@bulk_verb("replay", TASKS, permission=_CHANGE, done="Replayed")
def replay(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    tasks = _locked(ids)
    made = lifecycle.replay(ids, payload=None, by=user, context=origin.current.get().stored())
    _ring({queue for _, _, queue in made})
    return _slice(ids, {old for _, old, _ in made}, tasks, _unreplayed)


@bulk_verb("cancel", TASKS, permission=_CHANGE, done="Cancelled, or asked to end:")
def cancel(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    tasks = _locked(ids)
    stopped = {pk for pk, task in tasks.items() if task.state in LIVE and task.cancel_requested_at is None}
    lifecycle.cancel(sorted(stopped))
    settle_on_commit()
    return _slice(
        ids, stopped, tasks, lambda task: "was asked before" if task.state in LIVE else f"is {task.state} already"
    )


@bulk_verb("delete", TASKS, permission=_DELETE, done="Deleted")
def delete(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    """Those that are over and not pinned."""
    tasks = _locked(ids)
    gone = set(lifecycle.delete(ids))

    def why(task: Task) -> str:
        if task.state not in FINAL:
            return f"is {task.state}, not over"
        return f"is {PINNED}" if task.pinned else f"is {NEEDED}"

    return _slice(ids, gone, tasks, why)


def _one(name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def check(given: Mapping[str, Any]) -> dict[str, Any]:
        if set(given) != {name} or given[name] is None:
            raise BadParams(f'give "params": {{"{name}": …}} with nothing else in it')
        try:
            return checked_changes(dict(given))
        except QueueError as exc:
            raise BadParams(str(exc)) from None

    return check


@bulk_verb("set_priority", TASKS, permission=_CHANGE, done="Changed the priority of", check=_one("priority"))
def set_priority(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    tasks = _locked(ids)
    changed = {pk for pk, _ in lifecycle.edit(ids, priority=params["priority"])}
    return _slice(ids, changed, tasks, lambda task: f"is {task.state}, not waiting")


@bulk_verb("move", TASKS, permission=_CHANGE, done="Moved", check=_one("queue"))
def move(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    tasks, queue = _locked(ids), params["queue"]
    names = {task.name for task in tasks.values()}
    unfit = {name: refusal for name in names if (refusal := _unfit(queue, name))}
    elsewhere = [pk for pk, task in tasks.items() if task.queue != queue and task.name not in unfit]
    moved = {pk for pk, _ in lifecycle.edit(elsewhere, queue=queue)}
    _ring([queue] if moved else [])

    def why(task: Task) -> str:
        return "is there already" if task.queue == queue else unfit.get(task.name, f"is {task.state}, not waiting")

    return _slice(ids, moved, tasks, why)


def _unfit(queue: str, name: str) -> str:
    """Why tasks of this name cannot be run by those who serve the queue; "" when they can."""
    try:
        check_served(queue, [name])
    except InvalidSubmission as refusal:
        return str(refusal)
    return ""


def _pinned(ids: Sequence[int], wanted: bool, why: str) -> Slice:
    tasks = _locked(ids)
    changed = {pk for pk, task in tasks.items() if task.pinned != wanted}
    Task.objects.filter(pk__in=changed).update(pinned=wanted)
    return _slice(ids, changed, tasks, lambda task: why)


@bulk_verb("pin", TASKS, permission=_CHANGE, done="Pinned")
def pin(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    return _pinned(ids, True, "is pinned already")


@bulk_verb("unpin", TASKS, permission=_CHANGE, done="Unpinned")
def unpin(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    return _pinned(ids, False, "is not pinned")


def _closed(ids: Sequence[int], changed: Collection[int]) -> Slice:
    left = sorted(set(ids).difference(changed))
    return Slice(len(changed), dict.fromkeys(left, "is resolved already, or its task is not there"))


@bulk_verb("discard", LETTERS, permission=_LETTER, done="Discarded")
def discard(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    letters = lock_open(ids)
    lifecycle.discard(sorted(letters), by=user)
    return _closed(ids, letters)


@bulk_verb("replay", LETTERS, permission=_LETTER, done="Replayed")
def replay_letters(ids: Sequence[int], params: Mapping[str, Any], user: int | None) -> Slice:
    letters = lock_open(ids)
    tasks = _locked(list(letters.values()))
    made = lifecycle.replay(sorted(letters.values()), payload=None, by=user, context=origin.current.get().stored())
    _ring({queue for _, _, queue in made})
    old = {old for _, old, _ in made}
    replayed = {pk for pk, task in letters.items() if task in old}
    outcome = _closed(ids, replayed)
    outcome.refusals.update(
        {pk: _unreplayed(tasks[task]) for pk, task in letters.items() if task in tasks.keys() - old}
    )
    return outcome
