"""hold_reason: what keeps a task that is due from starting, in words."""

from queue_core import lifecycle
from queue_core.lanes import key_in, type_scope
from queue_core.models import Queue, Task
from queue_core.policies import Limit


def hold_reason(task: Task) -> str | None:
    """Why a queued task may not start now: a pause or a limit, the widest first; None when nothing holds it."""
    queue = Queue.objects.filter(pk=task.queue).first() or Queue(name=task.queue)
    gate = lifecycle.type_gates().get(task.name)
    if queue.paused_at:
        return f"the queue {task.queue} is paused"
    if gate and gate.paused:
        return f"the type {task.name} is paused"
    room = lifecycle.queue_room(task.queue) if queue.limit else None
    if room and room.left < 1:
        return _full(f"the queue {task.queue}", queue.limit, room)
    return _held_by_type(task, gate) if gate else None


def _held_by_type(task: Task, gate: lifecycle.TypeGate) -> str | None:
    key = key_in(task.lane)
    limits = {f"the type {task.name}": (type_scope(task.name), gate.limit)}
    if key:
        limits[f"the key {key}"] = (f"{task.name}:{key}", gate.key_limit)
    rooms = lifecycle.rooms({scope: limit for scope, limit in limits.values() if limit})
    for what, (scope, limit) in limits.items():
        if scope in rooms and rooms[scope].left < 1:
            return _full(what, limit, rooms[scope])
    return None


def _full(what: str, limit: Limit, room: lifecycle.Room) -> str:
    if limit.max_running is not None and room.running is not None and room.running >= limit.max_running:
        return f"{what} has {room.running} of {limit.max_running} running"
    return f"{what} has used up its rate of {limit.rate}"
