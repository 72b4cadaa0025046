from typing import Any

from django.db import transaction

from queue_core.errors import InvalidSteer, QueueError
from queue_core.models import WorkerPool
from queue_core.services import audit
from queue_core.services.fleet import pool_is_alive
from queue_core.services.ids import checked_id

SIZES = range(1, 257)


class PoolGone(QueueError):
    """There was no such pool, or it has ended, or does not beat."""

    state = "ended"

    def __init__(self, pool: Any) -> None:
        super().__init__(
            f"There is no pool {pool} that runs; `manage.py workers` shows those there are, "
            "and `manage.py worker --processes N` starts one."
        )


def scale_pool(pool_id: int, wanted: int, *, by: audit.Actor | None = None) -> WorkerPool:
    """Have a pool keep `wanted` worker processes (1 to 256), within about a second; surplus ones are drained.

    Raises InvalidSteer or PoolGone. Safe to repeat.
    """
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted not in SIZES:
        raise InvalidSteer("wanted", f"must be a whole number from {SIZES[0]} to {SIZES[-1]}")
    with transaction.atomic():
        pool = WorkerPool.objects.select_for_update().filter(pool_is_alive(), pk=checked_id(pool_id, "pool_id")).first()
        if pool is None:
            raise PoolGone(pool_id)
        if pool.wanted != wanted:
            pool.wanted = wanted
            pool.save(update_fields=["wanted"])
            audit.record(WorkerPool, [pool.pk], f"Scaled to {wanted}.", by=by, name=f"worker pool {pool.name}")
    return pool
