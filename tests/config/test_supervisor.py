import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from config.supervisor import Child, Patience, Program, Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = Patience(first=0.1, last=0.4, healthy=60, ending=5)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True)\n"


def program(name: str, code: str) -> Program:
    return Program(name, [sys.executable, "-S", "-E", "-c", code])


def sleeper(name: str) -> Program:
    return program(name, "import time; print('ready', flush=True); time.sleep(60)")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited 10 s in vain"
        time.sleep(0.02)


class Stage:
    """Supervisors that are stopped at the end of the test, and what they said."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.said: list[str] = []
        self.supervisors: list[Supervisor] = []

    def run(self, *programs: Program, patience: Patience = QUICK) -> Supervisor:
        supervisor = Supervisor(list(programs), self.logs, self.said.append, patience)
        self.supervisors.append(supervisor)
        supervisor.start()
        return supervisor

    def lines(self, name: str) -> list[str]:
        return (self.logs / f"{name}.log").read_text().splitlines()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    for supervisor in stage.supervisors:
        supervisor.stop()


def test_a_dead_child_is_started_again_and_reported(stage: Stage) -> None:
    supervisor = stage.run(sleeper("web"), sleeper("worker"))
    web, worker = supervisor.children
    before, untouched = web.pid, worker.pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: supervisor.tend() or web.pid not in (before, None))
    assert worker.pid == untouched
    assert stage.said == [f"web ended (SIGKILL); starting it again in 0.1 s. Its log: {stage.logs / 'web.log'}"]


def test_pauses_double_up_to_the_longest(stage: Stage) -> None:
    supervisor = stage.run(program("web", "print('here', flush=True); raise SystemExit(3)"))
    wait_until(lambda: supervisor.tend() or len(stage.said) == 4)
    assert [line.partition(" in ")[2].partition(".  ")[0].split(" s.")[0] for line in stage.said] == [
        "0.1", "0.2", "0.4", "0.4"
    ]  # fmt: skip
    assert "exit code 3" in stage.said[0]
    assert stage.lines("web") == ["here"] * 4


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (5, 16), (6, 30), (2000, 30)])
def test_patience_is_one_second_doubling_to_thirty(failures: int, seconds: float) -> None:
    assert Patience().after(failures) == seconds


def test_a_child_in_good_health_starts_with_the_first_pause_again(stage: Stage) -> None:
    supervisor = stage.run(program("web", ""), patience=Patience(first=0.1, last=10, healthy=0, ending=5))
    wait_until(lambda: supervisor.tend() or len(stage.said) == 3)
    assert all("in 0.1 s" in line for line in stage.said)


def test_what_a_dead_child_leaves_of_its_group_is_ended(stage: Stage) -> None:
    supervisor = stage.run(
        program("worker", "import os, time\nif pid := os.fork(): print(pid, flush=True)\ntime.sleep(60)")
    )
    wait_until(lambda: stage.lines("worker"))
    orphan = int(stage.lines("worker")[0])
    os.kill(supervisor.children[0].pid, signal.SIGKILL)
    wait_until(lambda: supervisor.tend() or not alive(orphan))


def test_stop_asks_the_last_started_first(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = Child.ask_to_end

    def note(child: Child) -> None:
        asked.append(child.program.name)
        ask(child)

    monkeypatch.setattr(Child, "ask_to_end", note)
    supervisor = stage.run(sleeper("mailcatcher"), sleeper("web"), sleeper("worker"))
    pids = [child.pid for child in supervisor.children]
    supervisor.stop()
    assert asked == ["worker", "web", "mailcatcher"]
    assert not any(alive(pid) for pid in pids)
    assert stage.said == []


def test_stop_kills_the_whole_group_of_a_stubborn_child(stage: Stage) -> None:
    supervisor = stage.run(
        program("worker", STUBBORN + "import os\nprint(os.fork(), flush=True)\ntime.sleep(60)"),
        patience=Patience(ending=0.3),
    )
    wait_until(lambda: len(stage.lines("worker")) == 3)
    grandchild = max(int(line) for line in stage.lines("worker")[1:])
    leader = supervisor.children[0].pid
    supervisor.stop()
    assert stage.said == ["Still running after 0.3 s, killed: worker."]
    wait_until(lambda: not alive(grandchild) and not alive(leader))


def test_an_interrupt_during_stop_ends_all_at_once(stage: Stage) -> None:
    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    supervisor = stage.run(program("worker", STUBBORN + "time.sleep(60)"))
    leader = supervisor.children[0].pid
    wait_until(lambda: stage.lines("worker"))
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        began = time.monotonic()
        supervisor.stop()
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert time.monotonic() - began < 3
    assert stage.said == ["At once, then."]
    assert not alive(leader)


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from config.supervisor import *\n"
        "argv = [sys.executable, '-S', '-c', 'import time; time.sleep(60)']\n"
        f"s = Supervisor([Program('web', argv)], Path({str(tmp_path)!r}), print)\n"
        "s.start(); print(s.children[0].pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        child = int(supervisor.stdout.readline())
        supervisor.kill()
    wait_until(lambda: not alive(child))


def test_children_get_their_additions_to_the_environment(stage: Stage) -> None:
    show = [sys.executable, "-S", "-c", "import os, time; print(os.environ['WHO'], flush=True); time.sleep(60)"]
    stage.run(Program("web", show, {"WHO": "posthaste"}))
    wait_until(lambda: stage.lines("web") == ["posthaste"])
