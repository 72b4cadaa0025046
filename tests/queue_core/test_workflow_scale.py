"""Large workflows, run by one worker; shown with `-s`. The bounds are far above what a small machine needs."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from queue_core import services
from queue_core.drain import Station
from queue_core.models import Task, Workflow


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took = time.perf_counter() - began
    sys.stdout.write(f"\n{what}: {took:.2f} s")
    assert took < seconds


def noop(key: str, *depends_on: str) -> dict[str, Any]:
    return {"key": key, "name": "tests.noop", "depends_on": list(depends_on)}


def run(station: Station, workflow: Workflow) -> str:
    """As a worker and a ticker would; a busy machine may let the worker's lease run out in between."""
    deadline = time.monotonic() + 120
    while workflow.state == "running" and time.monotonic() < deadline:
        station.serve(120, burst=True)
        services.settle()
        workflow.refresh_from_db()
    assert workflow.done == workflow.total
    return workflow.state


def test_ten_thousand_steps_out_and_in_again_take_seconds(station: Station) -> None:
    middle = [f"m{n}" for n in range(9_998)]
    steps = [noop("first"), *(noop(key, "first") for key in middle), noop("last", *middle)]
    with within(20, "submit 10 000 steps, 19 996 edges"):
        workflow = services.submit_workflow("wide", steps)
    with within(60, "run them"):
        assert run(station, workflow) == "succeeded"


def test_a_failure_at_the_root_cancels_ten_thousand_in_seconds(station: Station) -> None:
    steps = [{**noop("first"), "name": "tests.discard"}, *(noop(f"m{n}", "first") for n in range(9_999))]
    workflow = services.submit_workflow("doomed", steps)
    with within(20, "fail the first of 10 000"):
        station.serve(120, burst=True)
        services.settle()
    workflow.refresh_from_db()
    assert workflow.state == "failed"
    assert Task.objects.filter(state="cancelled").count() == 9_999
    with within(20, "retry all 10 000"):
        assert services.retry_workflow(workflow).changed == 10_000


def test_a_chain_of_a_thousand_is_passed_on_without_waiting_for_the_ticker(station: Station) -> None:
    steps = [noop("0"), *(noop(str(n), str(n - 1)) for n in range(1, 1_000))]
    workflow = services.submit_workflow("chain", steps)
    with within(90, "a chain of 1 000"):
        assert run(station, workflow) == "succeeded"
