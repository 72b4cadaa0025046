"""A steady load in a process of its own: `… steady RATE SECONDS` submits, prunes and samples; prints JSON.

Tasks are submitted in bulk each half second, forgotten a few seconds after their end, and every five seconds the sizes
and dead rows of the tables are read, and what a claim takes at that moment.
"""

import json
import sys
import threading
import time
from typing import Any

import django
from django.conf import settings
from django.db import connection, connections, transaction

django.setup()

from queue_core import lifecycle  # noqa: E402
from queue_core.services import prune  # noqa: E402
from queue_core.services.register_worker import register_worker  # noqa: E402
from tests.benchmarks.peers import posthaste  # noqa: E402

_KEEP_SECONDS = 5.0
_SIZES = """
SELECT relname, pg_table_size(relid) / 1048576.0, pg_indexes_size(relid) / 1048576.0,
       n_dead_tup, n_tup_upd, n_tup_hot_upd, autovacuum_count
FROM pg_stat_user_tables WHERE relname IN ('tasks', 'task_executions')
"""


def _claim_ms(worker_id: int) -> float:
    """The time of a claim of one task, which is taken back: it walks over all dead entries before the first live."""
    with transaction.atomic():
        started = time.perf_counter()
        lifecycle.claim(["default"], worker_id, 1)
        took = time.perf_counter() - started
        transaction.set_rollback(True)
    return took * 1000


def _sample(worker_id: int) -> dict[str, Any]:
    sample: dict[str, Any] = {"claim_ms": min(_claim_ms(worker_id) for _ in range(3))}
    with connection.cursor() as cursor:
        cursor.execute(_SIZES)
        for name, table, indexes, dead, updated, hot, vacuums in cursor.fetchall():
            sample[name] = {
                "table_mib": round(float(table), 1),
                "index_mib": round(float(indexes), 1),
                **{"dead": dead, "updated": updated, "hot": hot, "vacuums": vacuums},
            }
        cursor.execute("SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FROM tasks")
        sample["queued"], sample["rows"] = cursor.fetchone()
    return sample


def _prune_on(over: threading.Event) -> None:
    try:
        while not over.wait(2.0):
            prune(seconds=10.0)
    finally:
        connections.close_all()


def run(rate: int, seconds: float) -> list[dict[str, Any]]:
    """Samples, one each five seconds; a load that cannot keep its rate submits what it can."""
    settings.QUEUE_KEEP_DAYS = {"succeeded": _KEEP_SECONDS / 86_400}
    over = threading.Event()
    pruning = threading.Thread(target=_prune_on, args=[over])
    pruning.start()
    started, samples, submitted = time.monotonic(), [], 0
    try:
        while (passed := time.monotonic() - started) < seconds:
            posthaste.fill(rate // 2, 0.0)
            submitted += rate // 2
            if passed >= 5.0 * (len(samples) + 1):
                # A row of its own each time: nobody beats for it.
                samples.append({"second": round(passed), "submitted": submitted, **_sample(register_worker(["x"]))})
            time.sleep(max(0.0, started + submitted / rate - time.monotonic()))
    finally:
        over.set()
        pruning.join()
    return samples


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]))) + "\n")
