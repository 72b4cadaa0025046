"""The states of tasks, attempts and workers, and who may leave which."""

from django.db.models import TextChoices


class TaskState(TextChoices):
    """
    queued with `run_at` in the future shows as *scheduled*, after a failed attempt as *retrying*.
    succeeded, failed, cancelled and expired are final.
    """

    BLOCKED = "blocked"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


S = TaskState
FINAL = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED})
LIVE = frozenset(TaskState) - FINAL

# verb -> {state it may leave: states it may lead to}. The guards in lifecycle.py are compared with this map by a test.
TRANSITIONS: dict[str, dict[TaskState, frozenset[TaskState]]] = {
    "claim": {S.QUEUED: frozenset({S.RUNNING})},
    "release": {S.RUNNING: frozenset({S.QUEUED})},
    "finish": {S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.QUEUED})},
    "rescue": {S.RUNNING: frozenset({S.QUEUED, S.FAILED})},
    "retry": {S.FAILED: frozenset({S.QUEUED}), S.CANCELLED: frozenset({S.QUEUED})},
    "cancel": {S.BLOCKED: frozenset({S.CANCELLED}), S.QUEUED: frozenset({S.CANCELLED})},
}


class Outcome(TextChoices):
    """How one attempt ended. `lost`: its worker stopped beating, or was killed."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"


class WorkerState(TextChoices):
    ONLINE = "online"
    STOPPED = "stopped"
    LOST = "lost"
