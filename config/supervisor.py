"""Keeps child programs running: restarts what dies, ends all in order, leaves nothing behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.embedded import processes

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Program:
    """What to run: a name (its log is `<name>.log`), a command line, additions to the environment."""

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Patience:
    """Seconds: between restarts (doubling from first to last), of good health that resets this, for an orderly end."""

    first: float = 1
    last: float = 30
    healthy: float = 60
    ending: float = 20

    def after(self, failures: int) -> float:
        return min(self.last, self.first * 2.0 ** min(failures - 1, 30))


class Child:
    """One program and its present process, the leader of a process group of its own."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self.failures = 0
        self.changed_at = 0.0  # of the last start or death, monotonic
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        with processes.open_log(self.log) as log:
            self._process = subprocess.Popen(
                self.program.argv,
                env={**os.environ, **self.program.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.die_with_parent(signal.SIGTERM),
            )
        self.changed_at = time.monotonic()

    def has_ended(self) -> bool:
        """True when the process ended but is not buried yet; until then its group cannot become a stranger's."""
        if self._process is None:
            return False
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def ask_to_end(self) -> None:
        """SIGTERM for the leader alone: it knows in which order its own children end."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGTERM)

    def bury(self, what: signal.Signals) -> int:
        """Signal whoever is left of the group, then reap the leader; return its exit code (negative: a signal)."""
        if self._process is None:
            return 0
        os.killpg(self._process.pid, what)
        code = self._process.wait()
        self._process = None
        self.changed_at = time.monotonic()
        return code


class Supervisor:
    """Runs programs as children, in their order; `say` gets one line for each thing that happens to them."""

    def __init__(
        self, programs: list[Program], logs: Path, say: Callable[[str], None], patience: Patience | None = None
    ) -> None:
        self.children = [Child(program, logs / f"{program.name}.log") for program in programs]
        self._say = say
        self._patience = patience or Patience()

    def start(self) -> None:
        for child in self.children:
            child.start()

    def tend(self) -> None:
        """Look after each child once: bury one that died, start it again when its pause is over."""
        for child in self.children:
            if child.has_ended():
                self._note_death(child)
            elif child.pid is None and time.monotonic() - child.changed_at >= self._patience.after(child.failures):
                child.start()

    def tend_for(self, seconds: float) -> None:
        """Tend the children for that long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.tend()
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ask all to end, the last started first; kill what is left when patience (or the caller's) is over.

        A KeyboardInterrupt meanwhile means: at once.
        """
        try:
            for child in reversed(self.children):
                child.ask_to_end()
            self._await_end()
        except KeyboardInterrupt:
            self._say("At once, then.")
        finally:
            for child in self.children:
                child.bury(signal.SIGKILL)

    def _await_end(self) -> None:
        deadline = time.monotonic() + self._patience.ending
        while waiting := [child for child in self.children if child.pid is not None and not child.has_ended()]:
            if time.monotonic() > deadline:
                names = ", ".join(child.program.name for child in waiting)
                self._say(f"Still running after {self._patience.ending:g} s, killed: {names}.")
                return
            time.sleep(_POLL_SECONDS)

    def _note_death(self, child: Child) -> None:
        if time.monotonic() - child.changed_at >= self._patience.healthy:
            child.failures = 0
        child.failures += 1
        code = child.bury(signal.SIGTERM)
        pause = self._patience.after(child.failures)
        self._say(f"{child.program.name} ended ({_how(code)}); starting it again in {pause:g} s. Its log: {child.log}")


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
