"""`make bench-growth`: do the tables stay small and the claims quick under a steady load, and with which settings?"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from config import embedded
from tests.benchmarks import report
from tests.benchmarks.arena import ROOT, VAR, Arena, BenchmarkError, open_arena
from tests.benchmarks.contestants import OURS

TABLES = ("tasks", "task_executions")
_RESET = (
    "autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor,"
    " autovacuum_vacuum_cost_delay, fillfactor"
)
_EAGER = (
    "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,"
    " autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0"
)


@dataclass(frozen=True)
class Variant:
    """Storage parameters of both tables, and the server's naptime."""

    label: str
    naptime: str
    parameters: str = ""


VARIANTS = [
    Variant("PostgreSQL's own", "60s"),
    Variant("looked at each 10 s", "10s"),
    Variant("… and eager", "10s", _EAGER),
    Variant("… and fillfactor 85", "10s", f"{_EAGER}, fillfactor = 85"),
]


def apply(arena: Arena, variant: Variant) -> None:
    with psycopg.connect(arena.database_url(OURS.database), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET autovacuum_naptime = '{variant.naptime}'")
        connection.execute("SELECT pg_reload_conf()")
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} RESET ({_RESET})")
            if variant.parameters:
                connection.execute(f"ALTER TABLE {table} SET ({variant.parameters})")
        connection.execute("SELECT pg_stat_reset()")


def load(arena: Arena, variant: Variant, rate: int, seconds: float) -> list[dict[str, Any]]:
    """Run the load with real workers; its samples. Raises BenchmarkError."""
    arena.prepare(OURS)
    apply(arena, variant)
    command = [sys.executable, "-m", "tests.benchmarks.steady", str(rate), str(seconds)]
    with arena.working(OURS):
        done = subprocess.run(command, cwd=ROOT, env=arena.env(OURS), text=True, capture_output=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"The load with {variant.label!r} broke:\n{done.stderr.strip()[-2000:]}")
    samples: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return samples


def show(console: Console, runs: dict[str, list[dict[str, Any]]]) -> None:
    """The second half of each run, when it has warmed up."""
    table = Table(
        title="Steady load, the second half of each run: sizes at the end, a claim's p50 / max", title_justify="left"
    )
    for heading in ("", "tasks/s", "queued", "rows", "MiB", "indexes", "executions", "dead rows",
                    "claim ms", "HOT", "vacuums"):  # fmt: skip
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for label, samples in runs.items():
        late, last = samples[len(samples) // 2 :], samples[-1]
        claims = [sample["claim_ms"] for sample in late]
        tasks, executions = last["tasks"], last["task_executions"]
        figures = [
            last["submitted"] / last["second"],
            max(sample["queued"] for sample in late),
            max(sample["rows"] for sample in late),
            tasks["table_mib"],
            tasks["index_mib"],
            executions["table_mib"] + executions["index_mib"],
            max(sample["tasks"]["dead"] for sample in late),
        ]
        table.add_row(
            label,
            *(f"{figure:,.0f}" for figure in figures),
            f"{statistics.median(claims):.1f} / {max(claims):.1f}",
            f"{tasks['hot'] / max(1, tasks['updated']):.1%}",
            str(tasks["vacuums"]),
        )
    console.print(table)


def measure(rate: int, seconds: float, variants: list[Variant], console: Console) -> None:
    """Run all variants, print the table, write var/bench/growth.json. Raises BenchmarkError, EmbeddedError."""
    about = {"name": "growth", "machine": report.machine(), "rate": rate, "seconds": seconds}
    runs: dict[str, list[dict[str, Any]]] = {}
    with open_arena(Path(sys.executable)) as arena, Progress(console=console, transient=True) as progress:
        step = progress.add_task("starting", total=len(variants))
        for variant in variants:
            progress.update(step, description=variant.label)
            runs[variant.label] = load(arena, variant, rate, seconds)
            progress.update(step, advance=1)
    show(console, runs)
    path = VAR / "bench" / "growth.json"
    report.write(path, {**about, "runs": runs}, [])
    console.print(f"Written to {path}", soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument("--rate", type=int, default=5_000, help="tasks submitted a second")
    parser.add_argument("--seconds", type=float, default=180.0, help="of each variant")
    parser.add_argument("--quick", action="store_true", help="a look within a minute: two variants, 20 s each")
    options = parser.parse_args()
    variants, seconds = (VARIANTS[1:3], 20.0) if options.quick else (VARIANTS, options.seconds)
    try:
        measure(options.rate, seconds, variants, report.console())
    except (BenchmarkError, embedded.EmbeddedError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
