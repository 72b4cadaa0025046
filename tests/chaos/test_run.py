"""A short run, as `make chaos` does long ones; and that none leaves anything behind, even when it is ended."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings

from tests.chaos.fleet import ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture
def var() -> Path:
    """Of its own, and kept, so that its servers need not be made anew."""
    return Path(settings.VAR_DIR) / "chaos"


def command(var: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "tests.chaos", "--quick", "--var", str(var), *words]


def left_behind(var: Path) -> list[str]:
    """Command lines of processes that this folder's run started."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            told = [(folder / name).read_bytes() for name in ("cmdline", "environ")]
        except OSError:
            continue
        if folder.name.isdigit() and any(os.fsencode(var) in text for text in told):
            found.append(told[0].decode(errors="replace"))
    return found


def test_everything_holds_while_everything_is_killed(var: Path) -> None:
    answer = subprocess.run(
        command(var, "--seconds", "8", "--seed", "1"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    report = json.loads((var / "1.json").read_text())
    assert report["violations"] == {}
    assert report["figures"]["tasks"] > 50
    assert len(report["faults"]) >= 8
    assert left_behind(var) == []


def test_a_run_that_is_ended_leaves_nothing_running(var: Path) -> None:
    process = subprocess.Popen(
        command(var, "--seconds", "60"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not any("worker" in line for line in left_behind(var)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(45) != 0
    assert left_behind(var) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seconds", "0"], "'0' is not a whole number from 1 to 86400"),
        (["--seconds", "1e3"], "'1e3' is not a whole number"),
        (["--kills", "-1"], "not a whole number from 0 to 10000"),
        (["--seed", "9" * 5000], "is not a whole number"),
        (["--faults"], "unrecognized arguments: --faults"),
    ],
)
def test_a_wrong_option_is_refused(words: list[str], told: str, var: Path) -> None:
    answer = subprocess.run(command(var, *words), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (answer.returncode, told in answer.stderr) == (2, True), answer.stderr
