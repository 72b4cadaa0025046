"""What tasks really did, in a file that no part of the queue reads or writes: one line as each run begins and ends."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.history import Run

VARIABLE = "CHAOS_JOURNAL"


def _write(**line: Any) -> None:
    # One write to a file opened with O_APPEND is not torn by other processes, nor by a kill.
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, (json.dumps(line) + "\n").encode())
    finally:
        os.close(file)


@contextmanager
def run_of(task: int, attempt: int, lease: str) -> Iterator[None]:
    """Write that a run began, and how it ended: "ok" or the class of its exception; killed, it never ended."""
    mark = {"task": task, "attempt": attempt, "lease": lease, "pid": os.getpid()}
    _write(**mark, started=time.time())
    try:
        yield
    except BaseException as exc:
        _write(**mark, finished=time.time(), end=type(exc).__name__)
        raise
    _write(**mark, finished=time.time(), end="ok")


def read(path: Path) -> list[Run]:
    """The runs in the order in which they began."""
    return assemble(json.loads(line) for line in path.read_text().splitlines()) if path.exists() else []


def assemble(lines: Iterable[dict[str, Any]]) -> list[Run]:
    """Runs from their lines; a line that ends a run belongs to the latest that began with the same mark."""
    runs: list[Run] = []
    open_runs: dict[tuple[Any, ...], Run] = {}
    for line in lines:
        mark = (line["task"], line["attempt"], line["lease"], line["pid"])
        if "started" in line:
            runs.append(Run(*mark, started=line["started"]))
            open_runs[mark] = runs[-1]
        else:
            run = open_runs.pop(mark)
            run.finished, run.end = line["finished"], line["end"]
    return runs
