"""Servers that are not there when a process starts: one clear line, and an end."""

import os
import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT

NOBODY = "127.0.0.1:1"


@pytest.mark.e2e
@pytest.mark.parametrize("command", [["worker"], ["worker", "--burst"], ["scheduler"], ["campaign_status"]])
def test_a_process_without_its_database_says_so_and_ends(command: list[str]) -> None:
    answer = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *command],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings.test",
            "DATABASE_URL": f"postgres://x@{NOBODY}/x",
            "REDIS_URL": f"redis://{NOBODY}",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("Cannot reach PostgreSQL at postgres://x@127.0.0.1:1/x. Start it")
    assert "Traceback" not in answer.stderr
