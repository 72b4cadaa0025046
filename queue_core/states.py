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
    "release": {S.RUNNING: frozenset({S.QUEUED, S.CANCELLED})},
    "finish": {S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.QUEUED, S.CANCELLED})},
    "rescue": {S.RUNNING: frozenset({S.QUEUED, S.FAILED, S.CANCELLED})},
    # Blocked again when tasks it depends on have not ended.
    "retry": {S.FAILED: frozenset({S.QUEUED}), S.CANCELLED: frozenset({S.QUEUED, S.BLOCKED})},
    "retry_workflow": {
        S.FAILED: frozenset({S.QUEUED, S.BLOCKED}),
        S.CANCELLED: frozenset({S.QUEUED, S.BLOCKED}),
        S.EXPIRED: frozenset({S.QUEUED, S.BLOCKED}),
    },
    "settle": {S.BLOCKED: frozenset({S.QUEUED, S.CANCELLED})},
    # A running task is asked to end; finish or rescue then makes it cancelled.
    "cancel": {S.BLOCKED: frozenset({S.CANCELLED}), S.QUEUED: frozenset({S.CANCELLED})},
    "expire": {S.BLOCKED: frozenset({S.EXPIRED}), S.QUEUED: frozenset({S.EXPIRED})},
}


class OnFailure(TextChoices):
    """What becomes of a task when one that it depends on fails, is cancelled or expires."""

    CANCEL = "cancel", "cancel: it is cancelled too"
    CONTINUE = "continue", "continue: it runs all the same"


class WorkflowState(TextChoices):
    """`running` until every step has ended; a retry makes it running again."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(TextChoices):
    """How one attempt ended. `lost`: its worker stopped beating, or was killed. `cancelled`: it was asked to end."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"


class DeathReason(TextChoices):
    """Why a task failed for good."""

    ATTEMPTS = "attempts", "attempts used up"
    CRASHES = "crashes", "lost its worker too often"
    DISCARDED = "discarded", "the task itself gave up"
    TIMEOUT = "timeout", "its process had to be killed"
    LATE = "late", "too late to be tried again"


class Resolution(TextChoices):
    """What somebody did about a dead letter."""

    RETRIED = "retried"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class WorkerState(TextChoices):
    ONLINE = "online"
    STOPPED = "stopped"
    LOST = "lost"


class WorkerKind(TextChoices):
    """A process of `manage.py worker`, or a program in any language that asks the API for work."""

    PROCESS = "process"
    PULL = "pull"


class Desire(TextChoices):
    """What a worker was asked to do. `drain` and `stop` end it; nobody takes its place unless the pool is scaled."""

    RUN = "run"
    PAUSE = "pause", "pause: finish what runs, give back the rest, take nothing"
    DRAIN = "drain", "drain: finish all it holds, then end"
    STOP = "stop", "stop: finish what runs, give back the rest, then end"


# What may be asked of a worker -> what was asked of it before.
STEERS: dict[Desire, frozenset[Desire]] = {
    Desire.PAUSE: frozenset({Desire.RUN}),
    Desire.RUN: frozenset({Desire.PAUSE}),
    Desire.DRAIN: frozenset({Desire.RUN, Desire.PAUSE}),
    Desire.STOP: frozenset({Desire.RUN, Desire.PAUSE, Desire.DRAIN}),
}


class Rhythm(TextChoices):
    """How a schedule says when it fires."""

    CRON = "cron"
    INTERVAL = "interval"


class Missed(TextChoices):
    """What happens to runs that were due while nobody ticked."""

    SKIP = "skip", "skip: wait for the next one"
    ONCE = "once", "once: one run for all that were missed"
    ALL = "all", "all: every one, the newest 100 at most"


class Overlap(TextChoices):
    """What happens to a run that is due while the one before is not over."""

    SKIP = "skip", "skip: leave it out"
    QUEUE = "queue", "queue: run it after that one; one waits at most"
    ALLOW = "allow", "allow: run both"


class FireOutcome(TextChoices):
    """What became of one time at which a schedule was due. `waiting` turns into submitted (or failed)."""

    SUBMITTED = "submitted"
    WAITING = "waiting"
    OVERLAPPED = "skipped_overlap", "skipped, the one before was not over"
    MISSED = "missed"
    FAILED = "failed"


class BulkState(TextChoices):
    """How far a bulk operation is. `stopping`: it ends after the slice it is at."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"


BULK_OVER = frozenset({BulkState.STOPPED, BulkState.DONE, BulkState.FAILED})
