import json as json_module
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from queue_core import services
from queue_core.management.verbs import ACTOR, EXIT_CODES, WRONG_LINE, add_ids, add_json, tell
from queue_core.models import Worker, WorkerPool

VERBS = {
    "pause": (services.pause_worker, "Paused"),
    "resume": (services.resume_worker, "Resumed"),
    "drain": (services.drain_worker, "Drained"),
    "stop": (services.stop_worker, "Stopped"),
}
_LINE = "{:>8}  {:<28} {:<10} {:>10} {:>9} {:>7}  {}"


class Command(BaseCommand):
    help = (
        "The workers that are alive, and their pools; or pause, resume, drain (finish all it holds, then end) or stop"
        f" (finish what runs, give back the rest, then end) some of them. {EXIT_CODES}"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", nargs="?", default="list", choices=["list", *VERBS])
        add_ids(parser, "a worker")
        parser.add_argument("--all", action="store_true", help="every worker that is alive")
        add_json(parser)

    def handle(self, *args: Any, verb: str, ids: list[int], json: bool, **options: Any) -> None:
        everybody = bool(options["all"])
        if verb == "list":
            if ids or everybody:
                reason = "`workers list` lists all that are alive; leave out ids and --all."
                raise CommandError(reason, returncode=WRONG_LINE)
            self._list(json)
            return
        if bool(ids) == everybody:
            raise CommandError(f"Say which workers to {verb}: ids, or --all; not both.", returncode=WRONG_LINE)
        act, done = VERBS[verb]
        chosen = list(services.live_workers().values_list("pk", flat=True)) if everybody else ids
        outcome = act(chosen, by=ACTOR)
        numbers = {"changed": outcome.changed, "skipped": outcome.skipped}
        tell(self.stdout, outcome.sentence(done, "worker"), numbers, as_json=json, complete=not outcome.skipped)

    def _list(self, json: bool) -> None:
        pools, workers = list(services.live_pools()), list(services.live_workers())
        if json:
            shown = {"pools": [_pool(pool) for pool in pools], "workers": [_worker(worker) for worker in workers]}
            self.stdout.write(json_module.dumps(shown))
            return
        for pool in pools:
            queues = ", ".join(pool.queues)
            self.stdout.write(f"Pool {pool.pk} {pool.name}: {pool.running} of {pool.wanted} processes serve {queues}")
            self._table([worker for worker in workers if worker.pool_id == pool.pk])
        pooled = {pool.pk for pool in pools}
        if others := [worker for worker in workers if worker.pool_id not in pooled]:
            self.stdout.write("Without a pool:")
            self._table(others)

    def _table(self, workers: Sequence[Worker]) -> None:
        self.stdout.write(_LINE.format("id", "name", "asked", "finished", "MiB", "CPU %", "runs"))
        for worker in workers:
            heard = "" if worker.desired == worker.acknowledged else "?"
            self.stdout.write(
                _LINE.format(
                    *(worker.pk, worker.name[:28], f"{worker.desired}{heard}", worker.finished_tasks),
                    *(worker.memory_mib, worker.cpu_percent),
                    f"task {worker.current_task}" if worker.current_task else "-",
                )
            )


def _pool(pool: WorkerPool) -> dict[str, Any]:
    return {
        **{"id": pool.pk, "name": pool.name, "hostname": pool.hostname, "pid": pool.pid, "queues": pool.queues},
        **{"wanted": pool.wanted, "running": pool.running},
    }


def _worker(worker: Worker) -> dict[str, Any]:
    return {
        **{"id": worker.pk, "name": worker.name, "kind": worker.kind, "pool": worker.pool_id},
        **{"hostname": worker.hostname, "pid": worker.pid, "queues": worker.queues},
        **{"desired": worker.desired, "acknowledged": worker.acknowledged, "current_task": worker.current_task},
        **{"finished_tasks": worker.finished_tasks, "succeeded_tasks": worker.succeeded_tasks},
        **{"failed_tasks": worker.failed_tasks, "memory_mib": worker.memory_mib, "cpu_percent": worker.cpu_percent},
    }
