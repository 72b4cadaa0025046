"""Where contestants run: durable servers of their own, one database each, workers as real processes."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from config import embedded
from config.embedded import processes
from tests.benchmarks import marks
from tests.benchmarks.contestants import Contestant
from tests.benchmarks.marks import Mark

ROOT = Path(__file__).resolve().parent.parent.parent
VAR = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()
_SECONDS_TO_DRAIN = 180.0
_SECONDS_TO_STOP = 20.0


class BenchmarkError(Exception):
    """A contestant did not do its part; the text says which, and where its log is."""


@dataclass(frozen=True)
class Arena:
    """`peers` is the Python of the peers' virtual environment; `folder` holds marks, `logs` what workers say."""

    peers: Path
    folder: Path
    logs: Path
    var: Path

    def database_url(self, name: str) -> str:
        url = urlsplit(embedded.database_url(self.var))
        return url._replace(path=f"/{name}").geturl()

    def redis_url(self, number: int) -> str:
        return embedded.redis_url(self.var).removesuffix("/0") + f"/{number}"

    @property
    def marks(self) -> Path:
        return self.folder / "marks"

    def act(self, who: Contestant, action: str, n: int = 0, seconds: float = 0.0) -> float:
        """Have the contestant `reset`, `fill`, submit … ; the answer is mostly how many seconds that took."""
        command = ["-m", "tests.benchmarks.submit", who.module, action, str(n), str(seconds)]
        done = subprocess.run(
            [self._python(who), *command], cwd=ROOT, env=self.env(who), text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise BenchmarkError(f"{who.label} could not {action}:\n{done.stderr.strip()[-2000:]}")
        return float(done.stdout.splitlines()[-1])

    def prepare(self, who: Contestant) -> None:
        """An empty queue, in a database of its own."""
        if who.database:
            with psycopg.connect(self.database_url("postgres"), autocommit=True) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [who.database]).fetchone()
                if not known:
                    connection.execute(f"CREATE DATABASE {who.database}")
        self.marks.unlink(missing_ok=True)
        self.act(who, "reset")

    def analyse(self, who: Contestant) -> None:
        """Give the planner what autovacuum would have given it, and no one a checkpoint in the middle."""
        if who.database:
            with psycopg.connect(self.database_url(who.database), autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                connection.execute("CHECKPOINT")

    @contextmanager
    def working(self, who: Contestant) -> Iterator[Callable[[int], list[Mark]]]:
        """The contestant's workers run inside; call what it yields to wait for the marks of n distinct tasks.

        Afterwards the workers are asked to end, then killed.
        """
        started: list[subprocess.Popen[bytes]] = []
        with processes.open_log(self._log(who)) as log:
            for arguments in who.workers:
                argv = [word.format(redis=self.redis_url(who.redis_db)) for word in arguments]
                started.append(
                    subprocess.Popen(
                        [self._python(who), *argv],
                        cwd=ROOT,
                        env=self.env(who),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                        preexec_fn=processes.die_with_parent(signal.SIGTERM),
                    )
                )
        try:
            yield partial(self._await_marks, who, started)
        finally:
            _end(started)

    def await_count(self, n: int) -> None:
        """Wait until so many tasks have run, whoever runs them."""
        deadline = time.monotonic() + _SECONDS_TO_DRAIN
        while marks.count(self.marks) < n:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{marks.count(self.marks)} of {n} tasks ran in {_SECONDS_TO_DRAIN:g} s.")
            time.sleep(0.1)

    def _await_marks(self, who: Contestant, workers: list[subprocess.Popen[bytes]], n: int) -> list[Mark]:
        deadline = time.monotonic() + _SECONDS_TO_DRAIN
        while (there := marks.count(self.marks)) < n:
            ended = any(worker.poll() is not None for worker in workers)
            if ended or time.monotonic() > deadline:
                problem = "a worker ended" if ended else "no more in time"
                raise BenchmarkError(f"{who.label} ran {there} of {n} tasks, then {problem}; its log: {self._log(who)}")
            time.sleep(0.02)
        found = marks.read(self.marks)
        distinct = len({mark.number for mark in found})
        if distinct != n or len(found) != n:
            raise BenchmarkError(f"{who.label} ran {distinct} distinct tasks {len(found)} times; {n} were submitted.")
        return found

    def _python(self, who: Contestant) -> str:
        return str(self.peers) if who.is_peer else sys.executable

    def _log(self, who: Contestant) -> Path:
        return self.logs / f"{who.label.replace(' ', '-').replace(',', '')}.log"

    def env(self, who: Contestant) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VAR_DIR": str(self.var),
            "DATABASE_URL": self.database_url(who.database or "postgres"),
            "REDIS_URL": self.redis_url(who.redis_db),
            "BENCH_MARKS": str(self.marks),
            **who.env,
        }


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        process.terminate()
    deadline = time.monotonic() + _SECONDS_TO_STOP
    for process in started:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            # The leader is not reaped yet, so the group is still ours.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def open_arena(peers: Path) -> Iterator[Arena]:
    """Durable servers under VAR_DIR/bench-servers that end with this process, whatever the environment names."""
    for variable in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(variable, None)
    var, logs = VAR / "bench-servers", VAR / "bench" / "log"
    logs.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="posthaste-bench-", dir=memory if memory.is_dir() else None) as folder:
        embedded.start(var, durable=True, tied=True)
        try:
            yield Arena(peers, Path(folder), logs, var)
        finally:
            embedded.stop(var)
