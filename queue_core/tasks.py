"""The queue's own tasks."""

from typing import Any

from queue_core.registry import task
from queue_core.services.prune import prune


@task(name="queue_core.prune", queue="low", max_attempts=1)
def prune_task(**_: Any) -> dict[str, int]:
    return {"pruned": prune()}
