import gc
import os
import secrets
import signal
import socket
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from queue_core import broker, conf, drain
from queue_core.broker.worker import run_worker
from queue_core.execution import Isolation
from queue_core.management.verbs import seconds
from queue_core.pool import Pool


def named(queues: str) -> list[str]:
    """The queues of a comma-separated list, which worker processes must be able to serve."""
    names = list(dict.fromkeys(name.strip() for name in queues.split(",") if name.strip()))
    if not names:
        raise CommandError("--queues names none; leave it out to serve all.")
    if unknown := sorted(set(names) - set(conf.queues())):
        raise CommandError(f"Unknown queues: {', '.join(unknown)}. There are: {', '.join(conf.queues())}.")
    if external := sorted(set(names) & set(conf.external_queues())):
        raise CommandError(f"Only workers of the pull protocol serve {', '.join(external)}; leave them out.")
    return names


class Command(BaseCommand):
    help = "Run tasks: a pool of worker processes that serve the queues until stopped (SIGTERM finishes what runs)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queues", help="comma-separated, served in this order (default: all)")
        parser.add_argument("--processes", type=int, default=2, help="worker processes (default: 2)")
        parser.add_argument(
            "--threads", type=int, default=1, help="tasks that run at once in each process (default: 1)"
        )
        parser.add_argument(
            "--async",
            dest="coroutines",
            type=int,
            default=100,
            metavar="N",
            help="async def tasks that run at once in each process, on one event loop (default: 100)",
        )
        parser.add_argument(
            "--isolate", action="store_true", help="each task in a child process: a crash costs that attempt alone"
        )
        parser.add_argument(
            "--memory-mib",
            type=int,
            metavar="N",
            help="with --isolate: a task that takes more than N MiB beyond its worker's fails (default: no limit)",
        )
        parser.add_argument("--burst", action="store_true", help="one process; end when nothing is due")
        parser.add_argument(
            "--stop-seconds", type=seconds, default=60.0, help="time to finish after SIGTERM (default: 60)"
        )

    def handle(
        self, *args: Any, queues: str | None, processes: int, burst: bool, stop_seconds: float, **options: Any
    ) -> None:
        threads, coroutines = options["threads"], options["coroutines"]
        names = conf.own_queues() if queues is None else named(queues)
        if not 1 <= processes <= 256:
            raise CommandError("--processes must be from 1 to 256.")
        if not 1 <= threads <= 256:
            raise CommandError("--threads must be from 1 to 256.")
        if not 1 <= coroutines <= 10_000:
            raise CommandError("--async must be from 1 to 10000.")
        isolation = isolation_of(options["isolate"], options["memory_mib"])
        connection.ensure_connection()  # a wrong address ends here, in one line; one that is lost later is waited for
        station = partial(drain.Station, names, threads=threads, coroutines=coroutines, isolation=isolation)
        if burst:
            serve_burst(station())
            return
        self.stdout.write(f"{processes} worker processes serve {', '.join(names)}")
        Pool(partial(serve, station), names, processes, stop_seconds).run()


def isolation_of(isolate: bool, memory_mib: int | None) -> Isolation | None:
    if memory_mib is None:
        return Isolation() if isolate else None
    if not isolate:
        raise CommandError("--memory-mib takes --isolate: a limit is set for the process of one task.")
    if not 16 <= memory_mib <= 2**20:
        raise CommandError("--memory-mib must be from 16 to 1048576.")
    return Isolation(memory_mib)


def stop_on_signals(station: drain.Station) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: station.stop())


def serve(make: Callable[..., drain.Station], pool: int | None) -> bool:
    """One worker process: RQ's loop around our drains; while Valkey is away, our drains alone.

    `make` makes the station, in this process. Answers whether a person asked it to leave.
    """
    station = make(pool=pool)
    drain.install(station)
    stop_on_signals(station)
    station.open()
    gc.freeze()  # what opening has loaded; see Pool.run
    try:
        while not station.stopping.is_set():
            try:
                broker.ping()
            except broker.BrokerDown:
                stop_on_signals(station)
                station.serve(conf.get("SLICE_SECONDS"))
                continue
            # RQ refuses the name of a worker that died without a word for minutes, and a restarted container gets the
            # same host name and pid again.
            name = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
            run_worker(station.queues, name=name, on_stop=station.stop)
    finally:
        station.close()
    return station.orders.is_leaving


def serve_burst(station: drain.Station) -> None:
    """In this process, without RQ: all that is due now."""
    stop_on_signals(station)
    station.open()
    try:
        station.serve(float("inf"), burst=True)
    finally:
        station.close()
