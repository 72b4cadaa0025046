"""Large workflows, run by one worker; shown with `-s`. The bounds are far above what a small machine needs."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db.models.functions import Now

from queue_core import lifecycle, services
from queue_core.drain import Station
from queue_core.models import Dependency, Task, Workflow


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


def pair(name: str) -> Workflow:
    return services.submit_workflow(name, [noop("first"), noop("second", "first")])


def end_first_steps() -> None:
    Task.objects.filter(step="first").update(state="succeeded", finished_at=Now())


@pytest.mark.django_db
def test_a_wide_fan_out_is_released_in_slices_and_keeps_no_other_workflow_waiting() -> None:
    middle = [f"m{n}" for n in range(5_000)]
    wide = services.submit_workflow("wide", [noop("first"), *(noop(key, "first") for key in middle)])
    beside = pair("beside")
    end_first_steps()
    slowest = 0.0
    for turn in range(1, 7):
        began = time.perf_counter()
        settled = lifecycle.settle(1_000)
        slowest = max(slowest, time.perf_counter() - began)
        assert Task.objects.filter(step="second", state="queued").exists(), "each parent has a part of the first turn"
        released = Task.objects.filter(workflow=wide, state="queued").count()
        assert released == min(turn * 1_000 - 1, 5_000)
        assert settled.more == (turn < 6)
    sys.stdout.write(f"\nthe slowest slice of 1 000: {slowest:.2f} s")
    assert slowest < 1
    for workflow in (wide, beside):
        workflow.refresh_from_db()
        assert workflow.done == 1
    assert not Task.objects.filter(step="first", awaited=True).exists()


@pytest.mark.django_db
def test_a_parent_keeps_its_mark_until_the_last_of_its_children_is_told() -> None:
    services.submit_workflow("odd", [noop("first"), *(noop(f"m{n}", "first") for n in range(3)), noop("last", "m0")])
    end_first_steps()
    for open_edges in (1, 0):
        settled = lifecycle.settle(2)
        assert Dependency.objects.filter(parent__step="first", outcome="").count() == open_edges
        assert Task.objects.get(step="first").awaited is bool(open_edges)
        assert settled.more is bool(open_edges)
    assert not lifecycle.settle(2).rows


@pytest.mark.django_db
def test_edges_to_tasks_that_are_gone_are_not_in_the_way_of_others() -> None:
    services.submit_workflow("holes", [noop("first"), *(noop(f"m{n}", "first") for n in range(6))])
    end_first_steps()
    Task.objects.filter(step__in=["m0", "m1", "m2", "m3"]).delete()
    lifecycle.settle(2)
    assert Task.objects.filter(step__in=["m4", "m5"], state="queued").count() == 2
    assert not Task.objects.get(step="first").awaited


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
