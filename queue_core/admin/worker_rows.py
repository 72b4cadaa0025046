"""How pages show workers and pools in tables."""

import datetime
from collections.abc import Sequence
from typing import Any

from django.urls import reverse

from queue_core.admin.times import ago, span
from queue_core.models import Task, Worker, WorkerPool
from queue_core.services.clock import database_time
from queue_core.states import STEERS, Desire, TaskState, WorkerState

WORKER_LABELS = {"alive": "success", "paused": "warning", "leaving": "info", "lost": "danger", "stopped": "default"}
_NONE = "–"  # noqa: RUF001 - a dash it is
# desire -> (as the answer to it, as a state)
_HEARD = {"run": ("resumed", "alive"), "pause": ("paused", "paused")}
_HEARD |= {"drain": ("draining", "leaving"), "stop": ("stopping", "leaving")}


def task_page(pk: int) -> str:
    return reverse("admin:queue_core_task_change", args=[pk])


def state_of(worker: Any) -> str:
    """A key of WORKER_LABELS: what it is doing about what it was asked, if it is alive."""
    return _HEARD[worker.acknowledged][1] if worker.shown_state == "alive" else str(worker.shown_state)


def steered(worker: Any) -> str:
    """`paused, acknowledged after 0.4 s`, `asked to pause 12 s ago, not heard yet`; a dash when nothing was asked."""
    if worker.desired_at is None:
        return _NONE
    if worker.desired == worker.acknowledged and worker.acknowledged_at:
        after = max(worker.acknowledged_at - worker.desired_at, datetime.timedelta())
        return f"{_HEARD[worker.desired][0]}, acknowledged after {span(after)}"
    verb = "resume" if worker.desired == Desire.RUN else worker.desired
    heard = "not heard yet" if worker.shown_state == "alive" else "never heard"
    return f"asked to {verb} {ago(worker.asked_ago)}, {heard}"


def memory(worker: Worker) -> str:
    return f"{worker.memory_mib} MiB" if worker.memory_mib else _NONE


def processor(worker: Worker) -> str:
    return f"{worker.cpu_percent:.0f} %" if worker.kind == "process" else _NONE


def allowed(worker: Any) -> list[Desire]:
    """What may be asked of it now."""
    is_alive = worker.shown_state == "alive" and worker.state == WorkerState.ONLINE
    return [desire for desire, before in STEERS.items() if is_alive and worker.desired in before]


def worker_rows(workers: Sequence[Any]) -> list[dict[str, Any]]:
    """Workers in a table, with what each runs now: one query for all of them."""
    pks = [worker.current_task for worker in workers if worker.current_task]
    found = Task.objects.filter(pk__in=pks, state=TaskState.RUNNING).only("name", "started_at") if pks else []
    running, now = {task.pk: task for task in found}, database_time()
    return [_worker_row(worker, running.get(worker.current_task), now) for worker in workers]


def _worker_row(worker: Any, task: Task | None, now: datetime.datetime) -> dict[str, Any]:
    state = state_of(worker)
    return {
        "worker": worker,
        "url": reverse("admin:queue_core_worker_change", args=[worker.pk]),
        "state": state,
        "type": WORKER_LABELS[state],
        "task": task,
        "task_url": task and task_page(task.pk),
        "since": span(now - task.started_at) if task and task.started_at else "",
        "memory": memory(worker),
        "cpu": processor(worker),
        "beat": ago(worker.silence),
        "steered": steered(worker),
    }


def pool_rows(pools: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"pool": pool, "queues": ", ".join(pool.queues), "beat": ago(pool.silence)} for pool in pools]


def pool_of(worker: Worker) -> str:
    pool = WorkerPool.objects.filter(pk=worker.pool_id).first() if worker.pool_id else None
    return str(pool) if pool else _NONE
