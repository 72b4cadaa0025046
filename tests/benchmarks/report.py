"""How every benchmark reports: a table for people, and `var/bench/<name>.json` for comparisons over time."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Target:
    """What a figure must reach: a `ratio` to the peer's, or else a plain value; at least, unless `at_most`."""

    limit: float
    is_ratio: bool = True
    at_most: bool = False

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:,g}{' ×' if self.is_ratio else ''}"

    def holds(self, value: float, ratio: float | None) -> bool:
        measured = ratio if self.is_ratio else value
        if measured is None:
            return False
        return measured <= self.limit if self.at_most else measured >= self.limit


@dataclass(frozen=True)
class Row:
    """One comparison: our figure, a peer's (or none), and what was asked for (or nothing). Ratio = ours ÷ peer's."""

    metric: str
    ours: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer_value if self.peer_value else None

    @property
    def ok(self) -> bool | None:
        """None where no target was set."""
        return self.target.holds(self.ours, self.ratio) if self.target else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "ours": _rounded(self.ours),
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": _rounded(self.peer_value),
            "ratio": _rounded(self.ratio),
            "target": str(self.target) if self.target else None,
            "ok": self.ok,
        }


def _rounded(value: float | None) -> float | None:
    """Four significant digits: more would pretend."""
    return None if value is None else float(f"{value:.4g}")


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """What the figures depend on, with the load of the last minute when the benchmark began."""
    cpus = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": cpus[0] if cpus else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def versions(names: Sequence[str], environments: Sequence[Path | None]) -> dict[str, str]:
    """Python's version and those of the named packages, from the virtual environments given (None: this one)."""
    found = {"python": platform.python_version()}
    for environment in environments:
        places = [str(path) for path in environment.glob("lib/python*/site-packages")] if environment else None
        for package in distributions(path=places) if places else distributions():
            if package.name.lower() in names:
                found.setdefault(package.name.lower(), package.version)
    return found


def console() -> Console:
    """Where a report goes; wide enough for the table also when it goes into a file."""
    return Console() if sys.stdout.isatty() else Console(width=140)


def show(console: Console, title: str, rows: Sequence[Row]) -> None:
    """Print the table; a missed target is marked, never left out."""
    table = Table(title=title, title_justify="left")
    for heading in ("metric", "ours", "unit", "against", "theirs", "ratio", "target", ""):
        numeric = heading in {"ours", "theirs", "ratio", "target"}
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.ok]
        table.add_row(
            row.metric, _shown(row.ours), row.unit, row.peer, _shown(row.peer_value), _shown(row.ratio),
            str(row.target or ""), verdict,
        )  # fmt: skip
    console.print(table)


def write(path: Path, report: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write `report` (name, machine, versions, and the single runs behind the medians) with its rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**report, "rows": [row.as_dict() for row in rows]}, indent=2, ensure_ascii=False)
    path.write_text(text + "\n")
