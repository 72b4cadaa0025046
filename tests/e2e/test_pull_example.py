"""The worker that docs/pull-protocol.md shows, as it stands there, against a live server."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from queue_core import services
from queue_core.models import Progress, Result, Task, Worker
from tests.e2e.conftest import ROOT, wait_until
from tests.factories import UserFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
GUIDE = ROOT / "docs" / "pull-protocol.md"


def blocks() -> list[str]:
    return [part.partition("```")[0] for part in GUIDE.read_text().split("```python\n")[1:]]


def test_the_documented_worker_runs_the_documented_tasks(
    settings: Settings, live_server: LiveServer, tmp_path: Path
) -> None:
    described: dict[str, Any] = {}
    exec(blocks()[0], described)
    settings.QUEUES = described["QUEUES"]
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "images": settings.RQ_QUEUES["default"]}
    settings.QUEUE_EXTERNAL_TASKS = described["QUEUE_EXTERNAL_TASKS"]
    user = UserFactory(username="robot", permissions=["pull_tasks"])
    user.set_password("secret-of-robots")
    user.save()
    script = tmp_path / "worker.py"
    script.write_text(blocks()[1])
    basic = base64.b64encode(b"robot:secret-of-robots").decode()
    good = [services.submit("image.resize", {"width": 10 * n}).id for n in range(3)]
    bad = services.submit("image.resize", {"height": 1}, max_attempts=1).id
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "API": f"{live_server.url}/api/v1/", "AUTHORIZATION": f"Basic {basic}"},
    )
    try:
        assert wait_until(lambda: not Task.objects.filter(state__in=["queued", "running"]).exists(), 30)
        assert [Result.objects.get(task_id=pk).value for pk in good] == [{"width": 5 * n} for n in range(3)]
        assert {(row.done, row.total, row.note) for row in Progress.objects.all()} == {(1, 2, "reading")}
        assert Task.objects.get(pk=bad).error == "KeyError('width')"
        services.drain_worker([Worker.objects.get().pk])
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(5)
    worker = Worker.objects.get()
    assert (worker.state, worker.acknowledged, worker.finished_tasks) == ("stopped", "drain", 4)
