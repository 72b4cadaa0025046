"""Knobs of the queue, with the reason for each default. Override with `QUEUE_<NAME>` in the settings."""

from typing import Any

from django.conf import settings

DEFAULTS: dict[str, Any] = {
    # A worker that has not beaten for this long loses its tasks. Promise: back in line within 30 s.
    "LEASE_SECONDS": 20.0,
    "HEARTBEAT_SECONDS": 5.0,
    # How long one RQ job (one drain) serves before it returns to RQ's own loop.
    "SLICE_SECONDS": 30.0,
    # At most this much claimed work lies ahead of a worker: others could do it.
    "AHEAD_SECONDS": 0.2,
    "BATCH_MAX": 500,
    # What a crash can repeat: outcomes are written when the oldest is this old, or so many wait.
    "FLUSH_SECONDS": 0.05,
    "FLUSH_COUNT": 500,
    # After its timeout a task has this long to clean up before its process is killed.
    "GRACE_SECONDS": 10.0,
    "MAX_ATTEMPTS": 5,
    "MAX_CRASHES": 3,
    "TIMEOUT_SECONDS": 3600.0,
    # A worker process is replaced after so many tasks or so much memory: leaks of task code stay small.
    "RECYCLE_TASKS": 1_000_000,
    "RECYCLE_MIB": 1024,
    "PAYLOAD_MAX_BYTES": 1024 * 1024,
    "RESULT_MAX_BYTES": 1024 * 1024,
    # What tasks log is kept from this level on (as far as LOG_LEVEL lets it through), so much of each attempt.
    "LOG_LEVEL": "INFO",
    "LOG_MAX_BYTES": 64 * 1024,
    # Days a finished task is kept, by state; {"mail": {"succeeded": 90}} says otherwise for a queue. A state without
    # a rule is kept for ever.
    "KEEP_DAYS": {"succeeded": 7, "cancelled": 7, "expired": 7, "failed": 90},
    # Tasks that workers of the pull protocol run, by name: {"image.resize": {"queue": "images", "timeout": 60}}.
    "EXTERNAL_TASKS": {},
    # A worker of the pull protocol that was not heard of for this long loses its tasks.
    "PULL_LEASE_SECONDS": 60.0,
    # Claims that may wait in one web process at once: each holds one of its threads.
    "PULL_WAITERS": 2,
    # What a person asks of a worker is heard within this time.
    "HEED_SECONDS": 0.8,
    # Rows of workers and pools that have ended are forgotten after so many days.
    "KEEP_WORKERS_DAYS": 7.0,
    # What one submission may bring: a graph is checked in memory, and inserted in one transaction.
    "WORKFLOW_STEPS_MAX": 10_000,
    "WORKFLOW_EDGES_MAX": 100_000,
    # Any worker ticks when no scheduler did for this long.
    "TICK_LATE_SECONDS": 10.0,
}


def get(name: str) -> Any:
    return getattr(settings, f"QUEUE_{name}", DEFAULTS[name])


def queues() -> list[str]:
    """Names of the queues, in the order in which a worker serves them by default."""
    return list(settings.QUEUES)


def external_queues() -> list[str]:
    """The queues that only workers of the pull protocol serve."""
    return sorted({task["queue"] for task in get("EXTERNAL_TASKS").values()})


def own_queues() -> list[str]:
    """The queues that worker processes serve by default, in that order."""
    external = external_queues()
    return [name for name in queues() if name not in external]
