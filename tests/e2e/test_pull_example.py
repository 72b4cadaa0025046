"""The worker that docs/pull-protocol.md shows, as it stands there, against a live server."""

import base64
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from queue_core import services
from queue_core.api import long_poll
from queue_core.models import Execution, Progress, Result, Task, Worker
from tests.e2e.conftest import ROOT, wait_until
from tests.factories import UserFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
GUIDE = ROOT / "docs" / "pull-protocol.md"


def blocks() -> list[str]:
    return [part.partition("```")[0] for part in GUIDE.read_text().split("```python\n")[1:]]


class Flaky(ThreadingHTTPServer):
    """In front of the server: some answers get lost, and some calls, after or before it heard them."""

    def __init__(self, port: int, server: str) -> None:
        super().__init__(("127.0.0.1", port), _Passing)
        self.server_url = server
        self.heard: Counter[str] = Counter()

    def handle_error(self, *_: Any) -> None:
        """A worker that has ended hears nothing more."""


class _Passing(BaseHTTPRequestHandler):
    server: Flaky

    def do_POST(self) -> None:  # and DELETE
        verb, body = self.path.rstrip("/").rpartition("/")[2], self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard[verb] += 1
        is_first = self.server.heard[verb] == 1
        if is_first and verb in ("claim", "heartbeat"):
            return  # closes the connection
        if is_first and verb == "workers":
            self.send_error(503)
            return
        request = urllib.request.Request(
            self.server.server_url + self.path, body, dict(self.headers), method=self.command
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        if is_first and verb == "complete":
            return
        self.send_response(status)
        self.end_headers()
        self.wfile.write(said)

    do_DELETE = do_POST

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def credentials() -> str:
    user = UserFactory(username="robot", permissions=["pull_tasks"])
    user.set_password("secret-of-robots")
    user.save()
    return "Basic " + base64.b64encode(b"robot:secret-of-robots").decode()


@pytest.fixture
def worker(
    settings: Settings, tmp_path: Path, credentials: str, live_server: LiveServer
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the documented worker of the documented tasks, its work taking so many seconds."""
    described: dict[str, Any] = {}
    exec(blocks()[0], described)
    settings.QUEUES = described["QUEUES"]
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "images": settings.RQ_QUEUES["default"]}
    settings.QUEUE_EXTERNAL_TASKS = described["QUEUE_EXTERNAL_TASKS"]
    script, running = tmp_path / "worker.py", []

    def start(url: str, seconds: float = 0) -> subprocess.Popen[bytes]:
        work = (
            f"    for _ in range({seconds * 20:.0f}):\n        time.sleep(0.05)\n        report(done=1)\n    return {{"
        )
        script.write_text(blocks()[1].replace("    return {", work))
        environment = {**os.environ, "API": f"{url}/api/v1/", "AUTHORIZATION": credentials}
        running.append(subprocess.Popen([sys.executable, str(script)], env=environment))
        return running[-1]

    yield start
    services.drain_worker(list(Worker.objects.filter(state="online").values_list("pk", flat=True)))
    for process in running:
        try:
            process.wait(10)
        finally:
            process.kill()
    assert wait_until(lambda: not long_poll._waiting)  # nobody uses the database when it is emptied


def is_over(pk: int) -> bool:
    return bool(Task.objects.filter(pk=pk).exclude(state__in=["queued", "running"]).exists())


def test_the_documented_worker_runs_the_documented_tasks(
    worker: Callable[..., subprocess.Popen[bytes]], live_server: LiveServer
) -> None:
    process = worker(live_server.url)
    good = [services.submit("image.resize", {"width": 10 * n}).id for n in range(3)]
    bad = services.submit("image.resize", {"height": 1}, max_attempts=1).id
    assert wait_until(lambda: not Task.objects.filter(state__in=["queued", "running"]).exists(), 30)
    assert [Result.objects.get(task_id=pk).value for pk in good] == [{"width": 5 * n} for n in range(3)]
    assert {(row.done, row.total, row.note) for row in Progress.objects.all()} == {(1, 2, "reading")}
    assert Task.objects.get(pk=bad).error == "KeyError('width')"
    services.drain_worker([Worker.objects.get().pk])
    assert process.wait(20) == 0
    row = Worker.objects.get()
    assert (row.state, row.acknowledged, row.finished_tasks) == ("stopped", "drain", 4)


def test_it_beats_while_a_task_runs_and_gives_up_what_it_is_asked_to(
    worker: Callable[..., subprocess.Popen[bytes]], live_server: LiveServer, settings: Settings
) -> None:
    settings.QUEUE_PULL_LEASE_SECONDS = 1.5
    worker(live_server.url, seconds=4)
    pk = services.submit("image.resize", {"width": 10}).id
    assert wait_until(lambda: is_over(pk), 30)
    assert list(Execution.objects.filter(task=pk).values_list("outcome", flat=True)) == ["succeeded"]
    other = services.submit("image.resize", {"width": 10}).id
    assert wait_until(lambda: Task.objects.filter(pk=other, state="running").exists())
    services.cancel([other])
    assert wait_until(lambda: is_over(other), 3)
    assert Task.objects.get(pk=other).state == "cancelled"


def test_it_goes_on_when_it_was_given_up_and_when_the_server_does_not_answer(
    worker: Callable[..., subprocess.Popen[bytes]], live_server: LiveServer, settings: Settings, free_port: int
) -> None:
    settings.QUEUE_PULL_LEASE_SECONDS = 3
    process = worker(f"http://127.0.0.1:{free_port}", seconds=1.5)
    time.sleep(1)  # nobody listens there yet
    with Flaky(free_port, live_server.url) as between:
        thread = threading.Thread(target=between.serve_forever)
        thread.start()
        first = services.submit("image.resize", {"width": 10}).id
        assert wait_until(lambda: is_over(first), 30)
        gone = Worker.objects.get()
        services.pull_deregister(gone.pk)
        second = services.submit("image.resize", {"width": 20}).id
        assert wait_until(lambda: is_over(second), 60)
        assert {between.heard[verb] > 1 for verb in ("workers", "claim", "heartbeat", "complete")} == {True}
        process.terminate()
        assert process.wait(20) == 0
        between.shutdown()
        thread.join()
    states = list(Execution.objects.order_by("pk").values_list("task", "outcome", "worker"))
    (new,) = Worker.objects.exclude(pk=gone.pk)
    assert states == [(first, "succeeded", gone.pk), (second, "succeeded", new.pk)]
