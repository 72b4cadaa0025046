"""The queue's own tasks."""

from typing import Any

from queue_core.errors import Snooze
from queue_core.registry import task
from queue_core.services.forget import forget
from queue_core.services.prune import prune
from queue_core.services.run_bulk import run_bulk


@task(name="queue_core.prune", queue="low", max_attempts=1)
def prune_task(**_: Any) -> dict[str, int]:
    return {"pruned": prune(go_on=True), **forget()}


@task(name="queue_core.bulk", max_crashes=20, internal=True)
def bulk_task(*, operation: int) -> dict[str, int]:
    """A long operation goes back in line between its runs, so that it holds no worker."""
    found = run_bulk(operation, seconds=5.0)
    if not found.is_over:
        raise Snooze(0)
    return {"changed": found.changed, "skipped": found.skipped, "failed": found.failed}
