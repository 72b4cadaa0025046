"""The processes of a run: PostgreSQL and Valkey of its own, pools of workers, schedulers; all ended at its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from config import embedded
from config.embedded import processes
from tests.chaos import journal

ROOT = Path(__file__).resolve().parent.parent.parent
_STOP_SECONDS = 20.0


class Role:
    """A process that is started again whenever it ended."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None
        self.not_before = 0.0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.poll() is None else None


class Fleet:
    def __init__(self, var: Path, *, quick: bool, processes: int) -> None:
        self.var = var
        self.journal = var / "journal"
        self.log = var / "log" / "processes.log"
        words = ("worker", "--processes", str(processes), "--stop-seconds", "15")
        self.pools = [Role(*words), Role(*words, "--threads", "3")]
        self.schedulers = [Role("scheduler")]
        self._quick = quick
        self._interrupted = False

    def interrupt(self, *_: object) -> None:
        """End the run at the next look at its processes: raised by a signal, anywhere, it could leave locks taken."""
        self._interrupted = True

    def environment(self) -> dict[str, str]:
        """Of the processes: with both addresses given, none of them starts a server that the nemesis has stopped."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "DATABASE_URL": embedded.database_url(self.var),
            "REDIS_URL": embedded.redis_url(self.var),
            journal.VARIABLE: str(self.journal),
            **({"QUICK_LEASE": "1"} if self._quick else {}),
        }

    def start_servers(self) -> None:
        # Durable: what PostgreSQL has acknowledged must survive its being stopped at once.
        embedded.start(self.var, durable=True, tied=True)

    def server_pid(self, title: str) -> int | None:
        return next((status.pid for status in embedded.status(self.var) if status.name == title), None)

    def stop_server(self, title: str, how: signal.Signals) -> None:
        """Signal a server and wait until it is gone."""
        pid = self.server_pid(title)
        if pid is None:
            return
        os.kill(pid, how)
        while self.server_pid(title) is not None:
            time.sleep(0.02)

    def run(self, *arguments: str) -> None:
        """A command to its end; raises CalledProcessError."""
        with self.log.open("ab") as log:
            subprocess.run(self._command(arguments), env=self.environment(), check=True, stdout=log, stderr=log)

    def supervise(self) -> None:
        """Start what is not running, unless it is to rest; at most one try a second for each."""
        if self._interrupted:
            raise KeyboardInterrupt
        for role in [*self.pools, *self.schedulers]:
            if role.pid is None and time.monotonic() >= role.not_before:
                role.not_before = time.monotonic() + 1.0
                with self.log.open("ab") as log:
                    role.process = subprocess.Popen(
                        self._command(role.arguments),
                        env=self.environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        preexec_fn=processes.die_with_parent(signal.SIGTERM),
                    )

    def add_scheduler(self) -> None:
        self.schedulers.append(Role("scheduler"))

    def workers_of(self, pool: Role) -> list[int]:
        """Pids of its processes that run tasks."""
        return _children(pool.pid)

    def workers(self) -> list[int]:
        return [pid for pool in self.pools for pid in self.workers_of(pool)]

    def stop_pools(self) -> None:
        """In order, as an operator does; what does not end in time is killed."""
        self._end(self.pools)

    def close(self) -> None:
        """End all that this run started, however far it has come."""
        for pid in self._ours():
            send(pid, signal.SIGCONT)
        self._end([*self.pools, *self.schedulers])
        embedded.stop(self.var)

    def _end(self, roles: list[Role]) -> None:
        for role in roles:
            role.not_before = float("inf")
            if role.pid:
                send(role.pid, signal.SIGTERM)
        kept = {role.pid for role in [*self.pools, *self.schedulers] if role not in roles}
        deadline = time.monotonic() + _STOP_SECONDS
        while any(role.pid for role in roles) or set(self._ours()) - kept:
            if time.monotonic() > deadline:
                for pid in set(self._ours()) - kept:
                    send(pid, signal.SIGKILL)
            time.sleep(0.1)

    def _ours(self) -> list[int]:
        """Pids of all processes that carry the name of this run's journal, orphans of a killed pool among them."""
        mark, found = f"{journal.VARIABLE}={self.journal}".encode(), []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return [pid for pid in found if pid != os.getpid()]

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *arguments]


def _children(pid: int | None) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def send(pid: int, how: signal.Signals) -> bool:
    """Signal a process; False when it is gone."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return False
    return True
